"""URLs are read or refused, and never show their login."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.base.errors import AddressError
from penstock.base.urls import URL_CHARACTERS, Url, parse_url, shown_url

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://host", Url("http", "host", 80, "/")),
        ("https://host/a/b?c=d", Url("https", "host", 443, "/a/b?c=d")),
        ("http://[::1]:8428//x", Url("http", "::1", 8428, "//x")),
        ("http://ann:p%40ss@Host:1/", Url("http", "host", 1, "/", "ann", "p@ss")),
    ],
)
def test_urls_are_taken_apart(text, url):
    """Scheme, host, port, path with query and login are found; the port defaults to the scheme's."""
    assert parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "", "host", "//host", "ftp://host", "http://", "http://:80", "http://h:0", "http://h:65536", "http://h:x",
        "http://[::1", "http://h/#f", "http://h/ x", "http://h/\n", "http://h\xe4st", "http://" + "h" * URL_CHARACTERS,
        f"http://ann:{SECRET}@h:x", f"http://ann:{SECRET}/@h", f"ann:{SECRET}@h",
    ],
)  # fmt: skip
def test_others_are_refused_without_a_word_of_them(text):
    """What is no URL of an HTTP server raises AddressError, whose message does not repeat it."""
    with pytest.raises(AddressError) as caught:
        parse_url(text)
    assert SECRET not in str(caught.value)


@given(st.text(max_size=200))
@example("http://[]@h")
@example("http://@[::1%25]:1")
def test_any_text_ends_well(text):
    """Any text is a URL or an AddressError."""
    for each in (text, f"http://{text}", f"https://h/{text}"):
        try:
            assert parse_url(each).host
        except AddressError:
            continue


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://ann:{SECRET}@h:8428/write?key={SECRET}", "http://***@h:8428/write?***"),
        (f"https://{SECRET}@[::1]/", "https://***@[::1]/"),
        ("http://h:80/x", "http://h/x"),
        (f"ann:{SECRET}", "***"),
    ],
)
def test_secrets_are_not_shown(text, shown):
    """Printed, a URL has neither login nor query; what is none shows nothing at all."""
    assert shown_url(text) == shown
    if shown != "***":
        assert SECRET not in repr(parse_url(text))
