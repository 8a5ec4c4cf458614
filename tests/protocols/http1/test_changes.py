"""What a route changes in answers: fields, and where redirects lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1.changes import AnswerChanges, ChangedReader, Paths
from penstock.protocols.http1.response import ResponseReader

VIA = b"Via: 1.1 penstock\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\nX-Old: 1\r\n\r\nok"


def changes(removed=(b"server",), added=b"X-New: 2\r\n", paths=None):
    """Return changes that take Server away and set X-New."""
    return AnswerChanges(frozenset(removed), added, paths)


def read(what, *answers, method=b"GET", upgrade=False, size=1_000):
    """Return what the client gets of these answers, each read by a reader of its own in pieces of `size` bytes."""
    given = []
    for raw in answers:
        reader = ChangedReader(what, method, True, False, upgrade)
        given.append(b"".join(reader.feed(raw[at : at + size]) for at in range(0, len(raw), size)))
        assert reader.done
    return given


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_fields_go_and_come(size):
    """An answer that is met again, and one that comes in pieces, is changed as the first one was."""
    wanted = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Old: 1\r\n" + VIA + b"X-New: 2\r\n\r\nok"
    assert read(changes(), PLAIN, PLAIN, PLAIN, size=size) == [wanted] * 3


def test_routes_do_not_share_what_they_remember():
    """The same head is remembered for each route apart, and for routes that change nothing."""
    one, other = changes(), changes((b"x-old",), b"")
    first = read(one, PLAIN, PLAIN)
    plain = ResponseReader(b"GET", True, False).feed(PLAIN)
    second = read(other, PLAIN, PLAIN)
    assert first == read(one, PLAIN, PLAIN)
    assert (b"X-New" in first[0], b"X-New" in plain, b"X-New" in second[0]) == (True, False, False)
    assert (b"X-Old" in first[1], b"X-Old" in plain, b"X-Old" in second[1]) == (True, True, False)
    assert ResponseReader(b"GET", True, False).feed(PLAIN) == plain


def test_interim_answers_are_left_alone():
    """Neither 103 nor 101 is changed; the final answer behind an interim one is."""
    hints = b"HTTP/1.1 103 Early Hints\r\nServer: x\r\n\r\n"
    (given,) = read(changes(), hints + PLAIN)
    interim, final = given.split(b"\r\n\r\n", 1)
    assert b"Server: x" in interim
    assert b"X-New" not in interim
    assert b"X-New: 2" in final
    (switched,) = read(
        changes(), b"HTTP/1.1 101 Go\r\nServer: x\r\nUpgrade: ws\r\nConnection: upgrade\r\n\r\n", upgrade=True
    )
    assert b"Server: x" in switched
    assert b"X-New" not in switched


@given(st.sampled_from([b"server", b"x-old", b"date"]), st.integers(1, 40))
def test_a_changed_answer_differs_in_nothing_else(name, size):
    """Whatever is removed, the other lines and the body are those of a reader without changes."""
    raw = PLAIN.replace(b"200 OK", b"404 No")
    plain = ResponseReader(b"GET", True, False).feed(raw)
    (given_,) = read(changes((name,), b""), raw, size=size)
    assert [line for line in plain.split(b"\r\n") if not line.lower().startswith(name + b":")] == given_.split(b"\r\n")


@pytest.mark.parametrize(
    ("location", "outside"),
    [
        (b"http://10.0.0.1:8080/in/x?q#f", b"/app/x?q#f"),
        (b"HTTP://App.Internal/in", b"/app/"),
        (b"/in/x", b"/app/x"),
        (b"/in?x=1", b"/app/?x=1"),
        (b"/app/x", b"/app/x"),  # it knows its clients' paths
        (b"http://10.0.0.1:8080/app/x", b"/app/x"),
        (b"/inside", b"/inside"),  # not below what the route adds
        (b"http://10.0.0.1:8080/else", b"http://10.0.0.1:8080/else"),
        (b"http://10.0.0.1:8080", b"http://10.0.0.1:8080"),
        (b"https://10.0.0.1:8080/in/x", b"https://10.0.0.1:8080/in/x"),  # from clear to TLS: a path would loop
        (b"http://elsewhere.example/in/x", b"http://elsewhere.example/in/x"),
        (b"http://10.0.0.1:8080.evil.example/in/x", b"http://10.0.0.1:8080.evil.example/in/x"),
        (b"http://10.0.0.1:8080@evil.example/in/x", b"http://10.0.0.1:8080@evil.example/in/x"),
        (b"//evil.example/in/x", b"//evil.example/in/x"),
        (b"x", b"x"),
        (b"", b""),
    ],
)
def test_redirects_to_the_target_lead_to_the_proxy(location, outside):
    """A URL of the target becomes the path that clients ask for; every other one stays."""
    paths = Paths(frozenset((b"http://10.0.0.1:8080", b"http://app.internal")), b"/app", b"/in/")
    assert paths.outside(location) == outside
    (given_,) = read(
        changes((), b"", paths), b"HTTP/1.1 302 Found\r\nLOCATION: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    )
    assert b"\r\nLOCATION: " + outside + b"\r\n" in given_


@given(st.binary(max_size=60), st.sampled_from([b"", b"/app"]), st.sampled_from([b"", b"/in"]))
def test_no_location_becomes_one_of_another_host(tail, strip, add):
    """What a target says of itself never leads the client to a third host."""
    paths = Paths(frozenset((b"http://a",)), strip, add)
    location = b"http://a" + tail
    outside = paths.outside(location)
    assert outside == location or (outside.startswith(b"/") and not outside.startswith(b"//"))


def test_our_own_answers_take_the_same_fields():
    """Head and body of an answer of ours: the fields change, the body stays."""
    ours = b"HTTP/1.1 403 Forbidden\r\nServer: y\r\nContent-Length: 1\r\n\r\n\r"
    assert changes().of_ours(ours) == b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\nX-New: 2\r\n\r\n\r"
