"""Mistakes are told in one line that fits a terminal and holds no secret."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.mistakes import VALUE_CHARACTERS, hide_logins, is_secret, shown, spelled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("edge", "'edge'"), (True, "true"), (5, "5"), (1.5, "1.5"), ({}, "a table"), ([1], "a list"), (None, "None"),
        (datetime.date(2024, 1, 2), "2024-01-02"), ("\x1b[2J", r"'\x1b[2J'"),
        ("a\nb", r"'a\nb'"), ("\udc80", r"'\udc80'"), ("http://me:pw@host:80", "'http://***@host:80'"),
        ("http://me:p w/@x@host/", "'http://***@host/'"),
    ],
)  # fmt: skip
def test_values_are_shown(value, text):
    """A value is shown as it was written, as far as a terminal and a log should see it."""
    assert shown(("node", "name"), value) == text


@given(st.text(max_size=2_000))
def test_shown_text_is_short_and_printable(text):
    """Any text is shown on one line, printable; each character takes at most ten."""
    line = shown(("node", "name"), text)
    assert line.isprintable()
    assert len(line) <= VALUE_CHARACTERS * 10 + 2


@pytest.mark.parametrize(
    "name", ["auth", "users", "password", "API_KEY", "token", "credentials", "passwd", "secret", "key_per_user"]
)
def test_secrets_are_not_shown(name):
    """What is called like a secret is shown as three stars, and so is all that stands in it."""
    assert shown(("listener", 0, name), "hunter2") == shown(("listener", 0, name, "bob"), 5) == "***"


@pytest.mark.parametrize(
    "key",
    [
        ("admin", "token_file"),
        ("timeouts", "http_keep_alive"),
        ("listener", 0, "listen"),
        ("limits", "bandwidth_per_user"),
        ("route", 0, "passive", "failures"),
    ],
)
def test_other_keys_are_no_secrets(key):
    """A path of a secret's file is none, and no other key of ours is called like one."""
    assert not is_secret(key)


def test_logins_are_hidden():
    """What stands before an @ is hidden wherever it occurs."""
    assert hide_logins("'a:b@c' as in [x@y]:80") == "'***@c' as in [***@y]:80"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (("timeouts", "idle"), "timeouts.idle"),
        (("listener", 0, "listen"), "listener[web].listen"),
        (("listener", 1, "targets", 2, "weight"), "listener[2].targets[3].weight"),
        (("node", "a b\n"), r"node.'a b\n'"),
    ],
)
def test_keys_are_spelled(key, text):
    """A key is spelled with dots, items by name or else by number from 1, odd names in quotes."""
    assert spelled(key, {("listener", 0): "web"}) == text


def test_huge_numbers_are_not_spelled_out():
    """A number of a million digits, which Python refuses to write, is called huge."""
    assert shown(("node", "workers"), 1 << 4_000_000) == "a huge number"


@pytest.mark.parametrize("text", ["a" * 300_000, "a@" * 150_000, "://" * 100_000, "://" * 100_000 + "@"])
def test_long_values_are_shown_at_once(text):
    """Logins are found in time that grows with the text, not with its square: this took minutes."""
    assert len(shown(("node", "name"), text)) <= VALUE_CHARACTERS + 2


def test_sizes_of_metrics_are_no_secrets():
    """How many users are counted may be shown, though users of a listener may not."""
    assert not is_secret(("metrics", "users"))
    assert is_secret(("listener", 0, "users"))


def test_who_has_a_limit_is_no_secret():
    """The name and the numbers of a user's limits are shown where they are wrong; what is called a password is not."""
    assert not is_secret(("limits", "users", 0, "name"))
    assert is_secret(("limits", "users", 0, "password"))
