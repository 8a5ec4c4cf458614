"""What targets get of a client's request."""

import pytest

from penstock.base.bounds import REWRITES_REMEMBERED
from penstock.config.plan import RewritePlan, RoutePlan, TargetPlan
from penstock.connection.rewriting import Rewriter, answer_changes
from penstock.protocols.http1.origin import parse_origin

HEAD = b"GET /app/x?q=1 HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\nCookie: c\r\n\r\n"


def made(head=HEAD, client="198.51.100.7", scheme="https", port=443, trusted=False, **rewrite):
    """Return the head that a target gets."""
    route = RoutePlan(id=1, name="r", rewrite=RewritePlan(**rewrite))
    rewriter = Rewriter(route, client, scheme, port, trusted=trusted)
    request = parse_origin(head)
    first = rewriter.head(request)
    assert rewriter.head(request) == first
    return first


def test_who_asked_is_told_and_not_believed():
    """The client's own word on itself goes; ours says address, scheme, port and host."""
    assert made() == (
        b"GET /app/x?q=1 HTTP/1.1\r\nHost: a.example\r\nCookie: c\r\nX-Forwarded-For: 198.51.100.7\r\n"
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Host: a.example\r\nVia: 1.1 penstock\r\n\r\n"
    )


def test_trusted_proxies_are_believed():
    """What a trusted proxy says of its client stays, and its own address follows."""
    said = made(
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\n\r\n",
        trusted=True,
    )
    assert b"\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n" in said
    assert said.count(b"X-Forwarded-Proto") == 1
    assert b"X-Forwarded-Proto: http\r\n" in said


def test_forwarded_of_the_standard():
    """RFC 7239: IPv6 in brackets and quotes; off leaves everything as it came."""
    assert b'\r\nForwarded: for="[2001:db8::1]";proto=http;host="a.example"\r\n' in made(
        client="2001:db8::1", scheme="http", forwarded="forwarded"
    )
    assert b"X-Forwarded-For: 6.6.6.6" in made(forwarded="off")


def test_paths_host_and_fields():
    """Prefixes move, Host changes, fields are set and removed."""
    said = made(
        strip_prefix="/app", add_prefix="/v2/", host="inner.example", set_request=(("X-Env", "prod"), ("cookie", "no")),
        remove_request=("X-Nothing",),
    )  # fmt: skip
    assert said.startswith(b"GET /v2/x?q=1 HTTP/1.1\r\nHost: inner.example\r\n")
    assert b"\r\nX-Env: prod\r\ncookie: no\r\n" in said
    assert b"Cookie: c" not in said
    assert made(b"GET /app HTTP/1.1\r\nHost: a\r\n\r\n", strip_prefix="/app").startswith(b"GET / HTTP/1.1")
    assert made(b"GET /apple HTTP/1.1\r\nHost: a\r\n\r\n", strip_prefix="/app").startswith(b"GET /apple HTTP/1.1")


@pytest.mark.parametrize("path", [b"/%61pp/x", b"//app/x", b"/app%2Fx", b"/%2fapp//x", b"/app/x"])
def test_a_prefix_goes_in_any_spelling(path):
    """A path that rules see below a prefix loses it, however it is spelled, and its query stays."""
    said = made(b"GET " + path + b"?q=/app HTTP/1.1\r\nHost: a\r\n\r\n", strip_prefix="/app", add_prefix="/v2")
    assert said.split()[1] in (b"/v2/x?q=/app", b"/v2//x?q=/app")
    said = made(b"GET /%61%70p?q HTTP/1.1\r\nHost: a\r\n\r\n", strip_prefix="/a%70p/")
    assert said.startswith(b"GET /?q HTTP/1.1")


def test_a_route_that_changes_no_answer_costs_nothing():
    """Without a word on answers there is nothing to be done with them."""
    assert answer_changes(RoutePlan(id=1, name="r", rewrite=RewritePlan(set_request=(("X-A", "1"),)))) is None


def test_targets_are_known_by_all_their_names():
    """Address and name, with the usual port and without, in the scheme that is spoken with them."""
    targets = (TargetPlan(id=1, host="::1", port=80), TargetPlan(id=2, host="B.example", port=8080))
    rewrite = RewritePlan(strip_prefix="/app", host="app.internal", set_response=(("X-A", "1"),))
    changes = answer_changes(RoutePlan(id=1, name="r", targets=targets, rewrite=rewrite))
    head = b"HTTP/1.1 302 Found\r\nx-a: 0\r\nLocation: %b\r\n\r\n"
    for place in (b"[::1]", b"[::1]:80", b"b.example:8080", b"app.internal", b"app.internal:80"):
        got = changes.of_target(head % (b"http://" + place + b"/x"))
        assert got == b"HTTP/1.1 302 Found\r\nLocation: /app/x\r\nX-A: 1\r\n\r\n"
    for place in (b"http://b.example/x", b"https://app.internal/x", b"http://app.internal:81/x"):
        assert b"Location: " + place + b"\r\n" in changes.of_target(head % place)


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X-Forwarded_For", "X_Real-IP", "X-User", "x_user"])
def test_underscores_do_not_smuggle_a_name(name):
    """CGI and WSGI read X_User as X-User: what the client may not say, it may not say with an underscore either."""
    head = b"GET / HTTP/1.1\r\nHost: a.example\r\n%b: evil\r\nA_B: kept\r\n\r\n" % name.encode()
    said = made(head, set_request=(("X-User", "ann"),))
    assert b"evil" not in said
    assert b"\r\nA_B: kept\r\n" in said


def test_long_heads_are_not_remembered():
    """What a client makes us remember is bounded in bytes, not in heads alone."""
    rewriter = Rewriter(RoutePlan(id=1, name="r"), "198.51.100.7", "http", 80)
    for number in range(REWRITES_REMEMBERED):
        cookie = b"%d" % number + b"c" * 16_000
        rewriter.head(parse_origin(b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: " + cookie + b"\r\n\r\n"))
    assert sum(len(key[1]) + len(value) for key, value in rewriter._known.items()) < 32_768
