"""What keys mean together: each rule alone, and none of them about what is unknown."""

import pytest

from penstock.config.model import Config
from penstock.config.rules import check
from penstock.config.table import HOLE

TCP = {"protocol": "tcp", "listen": ":1", "targets": ["a:1"]}
HTTP = {"protocol": "http", "listen": ":2"}
AUTO = {"protocol": "auto", "listen": ":3"}
BARE = {"protocol": "tcp", "listen": ":1", "name": "bare"}
ROUTE = {"name": "r", "targets": ["a:1"]}


def wrong(listeners, routes=(), **sections):
    """Return the mistakes of a configuration, as pairs of key and explanation."""
    config = Config.model_validate({"listener": list(listeners), "route": list(routes), **sections})
    return [(mistake.key, mistake.what) for mistake in check(config)]


def test_a_right_configuration_has_no_mistakes():
    """Listeners of all protocols, with own targets and routes, are right."""
    assert wrong([TCP, HTTP, {**AUTO, "name": "a"}], [{**ROUTE, "listeners": ["a"]}]) == []


def test_one_listener_that_sees_answers_is_enough():
    """SOCKS clients of a route take it all the same: what is said of answers is for HTTP."""
    listeners = [HTTP, {**HTTP, "listen": ":4", "protocol": "socks5"}]
    route = {"name": "r", "match": {"destinations": "*"}, "timeouts": {"response": "1s"}}
    assert wrong(listeners, [route]) == []


@pytest.mark.parametrize(
    ("listeners", "routes", "key", "what"),
    [
        ([], [], ("listener",), "no listener"),
        ([HTTP] * 1_025, [], ("listener",), "1025 of them"),
        ([BARE], [ROUTE] * 16_385, ("route",), "16385 of them"),
        (
            [{**HTTP, "name": "x"}, {**HTTP, "name": "x", "listen": ":3"}],
            [],
            ("listener", 1, "name"),
            "of listener 1 too",
        ),
        ([HTTP | {"name": "one"}, HTTP], [], ("listener", 1, "listen"), "listener one takes [::]:"),
        (
            [HTTP | {"name": "one", "listen": "unix:/x"}, HTTP | {"listen": "unix:/x"}],
            [],
            ("listener", 1, "listen"),
            "is the address of listener one too",
        ),
        ([BARE], [{"name": "r"}], ("route", 0, "targets"), "missing"),
        (
            [{**HTTP, "name": "h", "protocol": "socks5"}, HTTP | {"listen": ":4"}],
            [{"name": "r", "listeners": ["h"], "timeouts": {"response": "1s"}}],
            ("route", 0, "timeouts", "response"),
            "a socks5 listener sees no answers of HTTP",
        ),
        (
            [{**HTTP, "protocol": "socks5"}],
            [{"name": "r", "match": {"destinations": "*"}, "timeouts": {"response": "1s"}}],
            ("route", 0, "timeouts", "response"),
            "a socks5 listener sees no answers of HTTP",
        ),
        (
            [BARE],
            [{**ROUTE, "timeouts": {"response": "1s"}}],
            ("route", 0, "timeouts", "response"),
            "a tcp listener sees no answers of HTTP",
        ),
        ([HTTP], [{**ROUTE, "listeners": ["bar"]}], ("route", 0, "listeners", 0), "no such listener"),
        (
            [{**HTTP, "name": "h", "protocol": "socks5"}, TCP],
            [{**ROUTE, "listeners": ["h"]}],
            ("route", 0, "targets"),
            "the clients of a socks5 listener say where they go",
        ),
        ([{**TCP, "name": "t"}], [{**ROUTE, "listeners": ["t"]}], ("route", 0, "listeners", 0), "targets of its own"),
        ([HTTP], [ROUTE], ("route", 0, "targets"), "the clients of an http listener say where they go"),
        ([TCP], [ROUTE], ("route", 0), "no listener needs it"),
        ([TCP], [{**ROUTE, "match": {"sni": True}}], ("route", 0, "match", "sni"), "a tcp listener speaks no TLS"),
        ([BARE], [{**ROUTE, "listeners": ["bare", "bare"]}], ("route", 0, "listeners", 1), "is there twice"),
        (
            [TCP],
            [{**ROUTE, "name": "default", "match": {"clients": "::1"}}],
            ("route", 0, "name"),
            "is what a listener's own route is called",
        ),
        ([HTTP], [{"name": "r", "parent": "http://127.0.0.1:2"}], ("route", 0, "parent", "address"), "a loop"),
        (
            [{**HTTP, "reverse": True, "targets": ["a:1"]}],
            [{"name": "r", "action": "redirect", "match": {"path": "/"}}],
            ("route", 0, "location"),
            "missing",
        ),
        ([BARE], [ROUTE, {**ROUTE, "name": "s"}], ("listener", 0, "targets"), "routes r and s both serve it"),
        (
            [BARE, {**BARE, "name": "b", "listen": ":5"}],
            [{**ROUTE, "listeners": ["bare"]}, {**ROUTE, "listeners": ["b"]}],
            ("route", 1, "name"),
            "of route 1 too",
        ),
        ([BARE], [], ("listener", 0, "targets"), "a tcp listener sends somewhere"),
        ([{**HTTP, "protocol": "socks5", "targets": ["a:1"]}], [], ("listener", 0, "targets"), "clients of socks5"),
        ([{**TCP, "targets": ["a:1", "b:1", "a:1"]}], [], ("listener", 0, "targets", 2, "address"), "twice"),
        ([BARE], [{**ROUTE, "targets": ["a:1", "a:1"]}], ("route", 0, "targets", 1, "address"), "twice"),
        ([{**TCP, "users": {"a": "b"}}], [], ("listener", 0, "users"), "asks nobody for a login"),
        ([{**TCP, "auth": "a:b"}], [], ("listener", 0, "auth"), "asks nobody for a login"),
        ([{**TCP, "users_file": "u"}], [], ("listener", 0, "users_file"), "asks nobody for a login"),
        ([{**HTTP, "auth": "a:b", "users": {"a": "c"}}], [], ("listener", 0, "auth"), "'a' stands among the users"),
        ([{**HTTP, "detect": ["http"]}], [], ("listener", 0, "detect"), "only an auto listener detects"),
        ([{**AUTO, "detect": []}], [], ("listener", 0, "detect"), "nothing to detect"),
        ([{**AUTO, "detect": ["http", "http"]}], [], ("listener", 0, "detect"), "twice"),
        ([{**AUTO, "detect": ["tcp"]}], [], ("listener", 0, "targets"), "detect names tcp"),
        ([{**AUTO, "detect": ["http"], "targets": ["a:1"]}], [], ("listener", 0, "targets"), "does not name tcp"),
    ],
)
def test_each_mistake(listeners, routes, key, what):
    """One mistake between keys is found once, at its key, and causes no other."""
    ((where, found),) = wrong(listeners, routes)
    assert where == key
    assert what in found


def test_too_many_targets():
    """More targets than the ledger has numbers are refused, whoever holds them."""
    targets = [f"a{number}:1" for number in range(40_000)]
    listeners = [{**TCP, "targets": targets}, {**TCP, "listen": ":5", "targets": targets}]
    assert wrong(listeners) == [(("listener",), "80000 targets; a node has at most 65535")]


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        (":8080", ":8080", True),
        (":8080", ":8081", False),
        (":8080", "127.0.0.1:8080", True),
        (":8080", "[::1]:8080", True),
        ("0.0.0.0:8080", "127.0.0.1:8080", True),
        ("0.0.0.0:8080", "[::1]:8080", False),
        ("0.0.0.0:8080", ":8080", True),
        ("127.0.0.1:8080", "127.0.0.2:8080", False),
        ("[::1]:8080", "[0:0::1]:8080", True),
        ("localhost:8080", "127.0.0.1:8080", True),
        (":0", ":0", False),
        ("unix:/run/a", "unix:/run/a", True),
        ("unix:/run/a", "unix:/run/b", False),
    ],
)
def test_addresses_that_collide(one, other, collide):
    """Listeners collide where the kernel would refuse the second, in either order; so does one with the admin door."""
    for first, second in ((one, other), (other, one)):
        found = wrong([{**HTTP, "listen": first}, {**HTTP, "listen": second}])
        assert [key for key, _ in found] == ([("listener", 1, "listen")] if collide else [])
    if not one.startswith("unix:"):
        found = wrong([{**HTTP, "listen": other}], admin={"listen": one, "token_file": "x"})
        assert [key for key, _ in found] == ([("listener", 0, "listen")] if collide else [])


@pytest.mark.parametrize(
    ("listen", "target", "loop"),
    [
        (":8080", "127.0.0.1:8080", True),
        (":8080", "localhost:8080", True),
        (":8080", "LOCALHOST:8080", True),
        (":8080", "[::1]:8080", True),
        (":8080", "0.0.0.0:8080", True),
        (":8080", "127.0.0.9:8080", True),
        ("127.0.0.1:8080", "127.0.0.1:8080", True),
        ("127.0.0.1:8080", "0.0.0.0:8080", True),
        ("192.0.2.1:8080", "192.0.2.1:8080", True),
        ("192.0.2.1:8080", "[::ffff:192.0.2.1]:8080", True),
        ("192.0.2.1:8080", "127.0.0.1:8080", False),
        ("127.0.0.1:8080", "127.0.0.2:8080", False),
        (":8080", "127.0.0.1:8081", False),
        (":8080", "example.com:8080", False),
        ("192.0.2.1:8080", "0.0.0.0:8080", False),
        (":9999", "127.0.0.1:9190", True),
        ("unix:/run/x", "127.0.0.1:8080", False),
    ],
)
def test_loops(listen, target, loop):
    """A target that is one of the node's own endpoints, the admin door included, is a mistake."""
    expected = ["is this node itself: a loop"] if loop else []
    assert [what for _, what in wrong([{**TCP, "listen": listen, "targets": [target]}])] == expected
    bare = {**BARE, "listen": listen}
    assert [what for _, what in wrong([bare], [{**ROUTE, "targets": [target]}])] == expected


@pytest.mark.parametrize(
    ("admin", "asked"),
    [
        ({"listen": "0.0.0.0:9190"}, True),
        ({"listen": ":9190"}, True),
        ({"listen": "192.0.2.1:9190"}, True),
        ({"listen": ":9190", "token_file": "x"}, False),
        ({"listen": "127.0.0.1:9190"}, False),
        ({"listen": "[::1]:9190"}, False),
        ({"listen": "off"}, False),
        ({"listen": HOLE}, False),
    ],
)
def test_an_open_admin_door_needs_a_token(admin, asked):
    """An admin address that others reach needs a token file."""
    assert [key for key, _ in wrong([HTTP], admin=admin)] == ([("admin", "listen")] if asked else [])


@pytest.mark.parametrize(
    ("metrics", "found"),
    [
        ({}, []),
        ({"labels": ["client", "user"]}, []),
        ({"labels": ["user", "user"]}, [(("metrics", "labels", 1), "is there twice")]),
        (
            {"labels": ["user"], "users": 0},
            [(("metrics", "labels", 0), "metrics.users is 0, so there is nothing to label")],
        ),
        (
            {"retention": {"seconds": "24h", "minutes": "31d"}},
            [(("metrics", "trackers"), "with this retention they take 2047 MiB; at most 1024 MiB are theirs")],
        ),
        ({"retention": {"seconds": "24h", "minutes": "31d"}, "trackers": 512}, []),
        ({"trackers": 4_096}, []),
        ({"trackers": HOLE, "labels": HOLE, "users": HOLE, "retention": HOLE}, []),
    ],
)
def test_metrics_fit_together(metrics, found):
    """Labels need what they label, and all trackers with all their samples fit into a GiB."""
    assert wrong([HTTP], metrics=metrics) == found


def test_connections_fit_into_the_ledgers():
    """No node is promised more connections than its workers' ledgers have rows."""
    limits = {"connections": 131_073}
    assert wrong([HTTP], node={"workers": 1}, limits=limits) == [
        (("limits", "connections"), "1 workers hold at most 131072")
    ]
    assert wrong([HTTP], node={"workers": 0}, limits={"connections": 131_072}) == []
    assert wrong([HTTP], node={"workers": 2}, limits=limits) == []


@pytest.mark.parametrize("key", [*dict.fromkeys([*TCP, "name", "users", "auth", "detect"])])
@pytest.mark.parametrize("listener", [TCP, BARE, HTTP, AUTO])
def test_what_is_unknown_is_not_judged(listener, key):
    """With a hole in any key of a listener, no rule finds fault with that key, and none fails."""
    holed = {**listener, key: HOLE}
    found = wrong([holed, {**HTTP, "listen": ":7"}])
    assert [where for where, _ in found if where[2:3] == (key,)] == []


@pytest.mark.parametrize("key", ["name", "listeners", "action", "targets"])
def test_what_is_unknown_of_a_route_is_not_judged(key):
    """With a hole in any key of a route, no rule finds fault with it, and none fails."""
    assert wrong([BARE, HTTP], [{**ROUTE, key: HOLE}]) == []


def test_a_hole_in_a_listener_blames_no_route():
    """A route that names or needs a listener with holes is not blamed for it."""
    for hole in ({"name": HOLE}, {"protocol": HOLE}, {"targets": HOLE}):
        named = [{**ROUTE, "listeners": ["bare"]}]
        assert [key for key, _ in wrong([{**BARE, **hole}], named) if key[0] == "route"] == []
        assert [key for key, _ in wrong([{**BARE, **hole}], [ROUTE]) if key[0] == "route"] == []


def test_routes_that_are_no_list_blame_no_listener():
    """Where the routes are unknown as a whole, no listener is blamed for having no targets."""
    config = Config.model_validate({"listener": [BARE], "route": HOLE})
    assert check(config) == []


USERS = {"users": {"ada": "pw"}}


@pytest.mark.parametrize(
    ("listener", "limits", "found"),
    [
        ({}, {"connections_per_user": 3}, ["connections_per_user"]),
        ({}, {"rate_per_user": "3/1s", "connections_per_user": "off"}, ["rate_per_user"]),
        (USERS, {"connections_per_user": 3, "rate_per_user": "3/1s"}, []),
        ({"auth": "ada:pw"}, {"connections_per_user": 3}, []),
        ({}, {"bandwidth_per_user": "1MiB/s"}, ["bandwidth_per_user"]),
        (USERS, {"users": [{"name": "ada"}]}, []),
        (USERS, {"users": [{"name": "adaa", "rate": "1/1s"}]}, [("users", 0, "name")]),
        (USERS, {"users": [{"name": "ada"}, {"name": "ada"}]}, [("users", 1, "name")]),
        ({}, {"connections": 50}, []),
        ({}, {"connections": 50, "connections_per_ip": 51}, ["connections_per_ip"]),
        ({}, {"connections": 50, "connections_per_ip": 50}, []),
        ({}, {"connections": 50, "connections_per_ip": "off"}, []),
    ],
)
def test_limits_that_could_never_apply(listener, limits, found):
    """Limits of users that nobody is, and one of an address beyond the node's, are mistakes; defaults are none."""
    config = {"listener": [{"listen": ":1", "protocol": "socks5"} | listener], "limits": limits}
    keys = [each.key[1:] for each in check(Config.model_validate(config))]
    assert keys == [each if isinstance(each, tuple) else (each,) for each in found]


def test_a_limit_of_a_route_that_forwards_nothing():
    """A route that answers or blocks has no use for limits."""
    listener = {"listen": ":1", "protocol": "http", "reverse": True, "targets": ["h:1"]}
    route = {"name": "r", "match": {"path": "/x"}, "action": "block", "limits": {"connections": 3}}
    (mistake,) = check(Config.model_validate({"listener": [listener], "route": [route]}))
    assert mistake.key == ("route", 0, "limits")
