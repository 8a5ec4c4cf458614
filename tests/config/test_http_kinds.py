"""Kinds of value in HTTP: what each takes, what it refuses, and what it says to write instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.http_kinds import (
    BODY_BYTES,
    LOCATION_FIELDS,
    OURS,
    BodyText,
    FieldName,
    FieldValue,
    Handler,
    HostText,
    Location,
    Prefix,
    RequestPath,
    Statuses,
)
from penstock.config.mistakes import Wrong

KINDS = [
    FieldName(), FieldValue(), Location(), Prefix(), HostText(), RequestPath(), Statuses(), BodyText(), Handler(),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        (FieldName(), "X-Request-Id", "X-Request-Id"),
        (FieldValue(), " a\tb ", "a\tb"),
        (FieldValue(), "", ""),
        (Location(), "https://{host}{path}{query}", "https://{host}{path}{query}"),
        (Location(), "{scheme}://other:{port}/", "{scheme}://other:{port}/"),
        (Location(), "/login", "/login"),
        (Prefix(), "/api", "/api"),
        (HostText(), "app.internal:8080", "app.internal:8080"),
        (HostText(), "[::1]:80", "[::1]:80"),
        (RequestPath(), "/healthz?full=1", "/healthz?full=1"),
        (Statuses(), 204, (204, 204)),
        (Statuses(), "204", (204, 204)),
        (Statuses(), "200-399", (200, 399)),
        (BodyText(), "", ""),
        (Handler(), "rules.deep:decide", "rules.deep:decide"),
    ],
)
def test_what_is_taken(kind, text, read):
    """A value of its kind is read as what it means."""
    assert kind.parse(text) == read


@pytest.mark.parametrize(
    ("kind", "text", "write"),
    [
        *((FieldName(), name.title(), "") for name in sorted(OURS)),
        (FieldName(), "X Y", ""),
        (FieldName(), "X:", ""),
        (FieldName(), "", ""),
        (FieldValue(), "a\r\nb: c", ""),
        (FieldValue(), "ü", ""),
        (FieldValue(), "a" * 4_097, ""),
        (Location(), "example.com", '"https://{host}{path}{query}"'),
        (Location(), "https://{host", '"https://{host}{path}{query}"'),
        (Location(), "https://{user}", ""),
        (Location(), "/a{{host}}", '"https://{host}{path}{query}"'),
        (Location(), "https://{host!r}", ""),
        (Location(), "https://{host.x}", ""),
        (Location(), "https://{}", ""),
        (Location(), "/a b", '"https://{host}{path}{query}"'),
        (Location(), "/a\r\nSet-Cookie: x", '"https://{host}{path}{query}"'),
        (Prefix(), "api", '"/api"'),
        (Prefix(), "/api/*", '"/api"'),
        (HostText(), "a/b", '"app.internal"'),
        (HostText(), "[x]:80", '"app.internal"'),
        (RequestPath(), "healthz", '"/healthz"'),
        (RequestPath(), "/a b", ""),
        (Statuses(), 99, ""),
        (Statuses(), True, ""),
        (Statuses(), "399-200", '"200-399"'),
        (Statuses(), "2xx", ""),
        (BodyText(), "ü" * BODY_BYTES, ""),
        (BodyText(), 5, ""),
        (Handler(), "rules", '"rules:decide"'),
        (Handler(), "rules:a b", '"rules:decide"'),
        (Handler(), "../rules:x", '"rules:decide"'),
    ],
)
def test_what_is_refused(kind, text, write):
    """A value of another kind is refused, with what to write instead where that can be guessed."""
    with pytest.raises(Wrong) as caught:
        kind.parse(text)
    assert caught.value.write == write


@pytest.mark.parametrize("kind", KINDS)
@given(value=st.one_of(st.text(), st.integers(), st.booleans(), st.text("{}!:./ahost[]0-9", max_size=24)))
def test_anything_is_read_or_refused(kind, value):
    """Anything is read, or refused with Wrong; nothing else escapes."""
    try:
        said = kind.parse(value) is not None
    except Wrong as wrong:
        said = bool(wrong.what)
    assert said


@given(st.text("{}!:[]./hostpahqueryx \r\n", max_size=40))
def test_a_location_can_always_be_filled_in(text):
    """Whatever reads as a location can be filled in, and holds no line end then."""
    try:
        location = Location().parse(text)
    except Wrong:
        return
    filled = location.format(**dict.fromkeys(LOCATION_FIELDS, "x"))
    assert "\n" not in filled
    assert "\r" not in filled


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(kind):
    """Every kind says in JSON Schema what may be written."""
    assert {"type", "anyOf"} & kind.json_schema().keys()
