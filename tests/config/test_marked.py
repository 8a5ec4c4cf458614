"""Secrets and files among the keys of listeners and routes."""

from penstock.config.marked import hide, reached, reaching, secrets


def test_secrets_are_those_of_the_models():
    """Every key whose value is secret, at any depth."""
    assert secrets("listener") == {("users",), ("auth",)}
    assert secrets("route") == {("users",), ("parent", "password")}


def test_files_and_code_are_those_of_the_models():
    """Every key that names a file or a function, at any depth."""
    certificate = {("certificates", "cert"), ("certificates", "key")}
    assert reaching("listener") == certificate | {("tls", "client_ca"), ("users_file",)}
    tls = {(*way, key) for way in (("target_tls",), ("parent", "tls")) for key in ("ca", "cert", "key")}
    assert reaching("route") == tls | {("body_file",), ("handler",), ("users_file",)}


def test_no_secret_is_shown():
    """Passwords are covered in every form, names of users are not, and the rest is as it was written."""
    table = {"name": "a", "users": {"alice": "s3cret"}, "auth": "bob:s3cret", "targets": ["h:1", {"address": "h:2"}]}
    hidden = hide("listener", table)
    assert hidden == {**table, "users": {"alice": "***"}, "auth": "***"}
    assert hide("route", {"parent": {"user": "u", "password": "s3cret"}})["parent"] == {"user": "u", "password": "***"}
    assert hide("route", {"parent": "socks5://u:s3cret@proxy:1"})["parent"] == "socks5://***@proxy:1"
    assert hide("route", {"location": "https://a@b/"})["location"] == "https://a@b/"
    assert table["users"] == {"alice": "s3cret"}


def test_reached_finds_every_form():
    """Tables, lists and text that stands for a certificate; a parent's text names no file."""
    assert reached("listener", {"certificates": ["a.pem"]}) == [("certificates",)]
    assert reached("listener", {"certificates": [{"cert": "a"}], "tls": {"client_ca": "b"}}) == [
        ("certificates", "cert"),
        ("tls", "client_ca"),
    ]
    assert reached("route", {"handler": "a:b", "parent": {"tls": {"ca": "x"}}}) == [
        ("handler",),
        ("parent", "tls", "ca"),
    ]
    assert reached("route", {"parent": "socks5://proxy:1", "targets": ["h:1"], "body": "x"}) == []
