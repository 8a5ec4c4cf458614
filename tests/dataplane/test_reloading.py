"""A worker takes another plan between two turns, and goes on as before where it cannot."""

import contextlib
import os
import socket
import ssl
import tempfile
import threading
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from penstock.base.outcomes import Reason
from penstock.config.plan import AccessRulePlan, MatchPlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.config.tls_plan import CertificatePlan, TargetTlsPlan, TlsPlan
from penstock.dataplane.orders import Reload, Reloaded, serialize
from penstock.testing.certificates import Authority
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.procfs import descriptors
from penstock.testing.workbench import bench, listener, wait_for


def told(plane, plan, number, new=()):
    """Order a reload and return the answer."""
    fd = os.memfd_create("plan")
    os.write(fd, msgspec.json.encode(plan) if isinstance(plan, WorkerPlan) else plan)
    socket.send_fds(plane.control, [serialize(Reload(number, tuple(i for i, _ in new)))], [fd, *(s for _, s in new)])
    os.close(fd)
    return plane.report(Reloaded)


def listening():
    """Return a socket that listens on loopback."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def at(port, route_id=1):
    """Return a route to this port."""
    return RoutePlan(id=route_id, name="default", targets=(TargetPlan(id=1, host="127.0.0.1", port=port),))


def test_new_connections_take_the_new_plan_and_old_ones_keep_theirs():
    """Another target from the next connection on; what is open goes on where it was."""
    with (
        serving(echo) as old,
        serving(saying(b"new")) as new,
        bench(listener("main", "tcp", old.port)) as plane,
        plane.connect() as before,
    ):
        before.sendall(b"a")
        assert before.recv(1) == b"a"
        plan = plane.worker.plan
        changed = replace(plan, listeners=(replace(plan.listeners[0], route=at(new.port)),))
        assert told(plane, changed, 1) == Reloaded(1)
        with plane.connect() as after:
            assert after.recv(10) == b"new"
        before.sendall(b"b")
        assert before.recv(1) == b"b"


def named(name):
    """Return an origin that answers with a name."""
    return origin(lambda message, wire: ok(name))


@pytest.mark.parametrize("protocol", ["http", "tls"])
def test_requests_after_a_reload_take_the_new_routes(tmp_path, protocol):
    """On a connection that was kept alive, the next request goes where the new plan says, and none fails."""
    tls = TlsPlan(certificates=(Authority(tmp_path).issue("localhost"),)) if protocol == "tls" else None
    more = {"inside": "http", "tls": tls} if tls else {"reverse": True}
    with (
        named(b"old") as old,
        named(b"new") as new,
        bench(listener("main", protocol, old.port, **more)) as plane,
        plane.connect() as raw,
        Wire(secured(raw, tls)) as wire,
    ):
        for _ in range(3):  # the second one and the third repeat the first, letter by letter
            assert ask(wire, b"/x") == (200, b"old")
        plan = plane.worker.plan
        blocked = RoutePlan(id=2, name="no", match=MatchPlan(paths=("/no*",)), action="block")
        changed = replace(plan, listeners=(replace(plan.listeners[0], route=at(new.port)),), routes=(blocked,))
        for number in (1, 2):
            assert told(plane, changed, number) == Reloaded(number)
            assert [ask(wire, b"/x") for _ in range(3)] == [(200, b"new")] * 3
            assert ask(wire, b"/no")[0] == 403
        assert told(plane, plan, 3) == Reloaded(3)
        assert ask(wire, b"/no") == (200, b"old")


def secured(raw, tls):
    """Return the socket, or TLS on it."""
    if tls is None:
        return raw
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(raw, server_hostname="localhost")


def ask(wire, path):
    """Send a request; return status and body of the answer."""
    wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = wire.read_message()
    return answer.status, answer.body


def test_a_forward_proxy_takes_new_users_and_routes():
    """The next request of a client that stays is asked for a login, and refused what a new route blocks."""
    with named(b"here") as target, bench(listener("main", "http")) as plane, Wire(plane.connect()) as wire:
        assert ask(wire, target.url("/").encode()) == (200, b"here")
        plan = plane.worker.plan
        assert not told(plane, replace(plan, listeners=(replace(plan.listeners[0], users={"ann": "b"}),)), 1).error
        assert ask(wire, target.url("/").encode())[0] == 407
        blocked = RoutePlan(id=2, name="no", match=MatchPlan(domains=("127.0.0.1",)), action="block")
        assert not told(plane, replace(plan, routes=(blocked,)), 2).error
        assert ask(wire, target.url("/").encode())[0] == 403


@pytest.mark.parametrize("reverse", [False, True])
def test_who_may_not_come_any_more_is_refused_at_the_next_request(reverse):
    """A rule that only asks for clients holds for those who came in before it, as soon as they ask for something."""
    with (
        named(b"here") as target,
        bench(listener("main", "http", target.port, reverse=reverse)) as plane,
        Wire(plane.connect()) as wire,
    ):
        path = b"/" if reverse else target.url("/").encode()
        assert ask(wire, path) == (200, b"here")
        rules = (AccessRulePlan(name="no", action="block", clients=("127.0.0.0/8",)),)
        assert not told(plane, replace(plane.worker.plan, rules=rules), 1).error
        assert ask(wire, path)[0] == 403


def test_who_shakes_hands_during_a_reload_is_held_to_the_new_rules(tmp_path):
    """Rules that came while a client had not said a word hold for it from its first one."""
    authority = Authority(tmp_path)
    tls = TlsPlan(certificates=(authority.issue("a.example"),))
    with (
        serving(saying(b"let in")) as target,
        bench(listener("main", "tls", target.port, tls=tls)) as plane,
        plane.connect() as client,
    ):
        wait_for(plane.connections, "the connection")
        rules = (AccessRulePlan(name="no", action="block"),)
        assert not told(plane, replace(plane.worker.plan, rules=rules), 1).error
        with authority.client_context().wrap_socket(client, server_hostname="a.example") as inside:
            assert read_all(inside) == b""
        (row,) = plane.ended()
        assert row.outcome.reason == Reason.ACCESS


def test_a_listener_of_another_kind_changes_nothing_for_who_is_there():
    """Where an address speaks something else now, clients of before go on as they began."""
    with (
        named(b"old") as old,
        named(b"new") as new,
        bench(listener("main", "http", old.port, reverse=True)) as plane,
        Wire(plane.connect()) as wire,
    ):
        assert ask(wire, b"/") == (200, b"old")
        plan = plane.worker.plan
        other = replace(plan.listeners[0], protocol="tcp", reverse=False, route=at(new.port))
        assert not told(plane, replace(plan, listeners=(other,)), 1).error
        assert ask(wire, b"/") == (200, b"old")


def test_listeners_come_and_go():
    """A new listener serves at once; one that the plan no longer has takes no more, and its connections go on."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane, listening() as extra:
        plan = plane.worker.plan
        other = replace(plan.listeners[0], id=2, name="extra", port=extra.getsockname()[1])
        assert told(plane, replace(plan, listeners=(*plan.listeners, other)), 1, [(2, extra.fileno())]).error == ""
        address = extra.getsockname()
        with socket.create_connection(address, timeout=5) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            extra.close()
            assert told(plane, plan, 2).error == ""
            wait_for(lambda: _refused(address), "the listener to close")
            client.sendall(b"y")
            assert client.recv(1) == b"y"
        with plane.connect() as client:
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""


def _refused(address):
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("kind", ["certificate", "nonsense", "descriptors"])
def test_what_cannot_be_taken_changes_nothing(kind):
    """A vanished certificate, bytes that are no plan and missing descriptors: told, and served as before."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane:
        plan = plane.worker.plan
        broken = replace(
            plan.listeners[0], tls=TlsPlan(certificates=(CertificatePlan(cert="gone.pem", key="gone.pem"),))
        )
        if kind == "certificate":
            answer = told(plane, replace(plan, listeners=(broken,)), 7)
        elif kind == "nonsense":
            answer = told(plane, b"{]", 7)
        else:
            plane.order(Reload(7, (5,)))
            answer = plane.report(Reloaded)
        assert answer.number == 7
        assert answer.error
        with plane.connect() as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"


def test_a_hundred_reloads_leave_nothing_behind():
    """Descriptors are the same after a hundred reloads as before."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane:
        told(plane, plane.worker.plan, 0)
        before = descriptors(os.getpid())
        for number in range(1, 101):
            assert told(plane, plane.worker.plan, number) == Reloaded(number)
        wait_for(lambda: descriptors(os.getpid()) <= before)


def test_a_request_that_is_under_way_ends_on_the_route_it_began_with():
    """A request whose route the new plan does not know is served to its end; the next one takes the new plan."""
    asked, go_on = threading.Event(), threading.Event()

    def slowly(message, wire):
        asked.set()
        assert go_on.wait(10)
        return ok(b"other")

    with named(b"own") as own, origin(slowly) as other:
        target = TargetPlan(id=2, host="127.0.0.1", port=other.port)
        special = RoutePlan(id=2, name="b", match=MatchPlan(paths=("/b*",)), targets=(target,))
        with (
            bench(listener("main", "http", own.port, reverse=True), routes=(special,)) as plane,
            Wire(plane.connect()) as wire,
        ):
            wire.send(request("GET", "http://a.example/b"))
            assert asked.wait(10)
            assert told(plane, replace(plane.worker.plan, routes=()), 1) == Reloaded(1)
            go_on.set()
            assert wire.read_message().body == b"other"
            assert ask(wire, b"/b") == (200, b"own")


def test_a_client_that_has_not_begun_takes_the_new_plan():
    """Whose PROXY header comes after a reload is sent where the new plan says, and counted there."""
    networks = ("127.0.0.0/8",)
    with (
        serving(saying(b"old")) as old,
        serving(saying(b"new")) as new,
        bench(listener("main", "tcp", old.port, accept_proxy="required", trusted_proxies=networks)) as plane,
        plane.connect() as client,
    ):
        wait_for(plane.connections, "the connection")
        plan = plane.worker.plan
        changed = replace(plan.listeners[0], route=at(new.port, 9))
        assert told(plane, replace(plan, listeners=(changed,)), 1) == Reloaded(1)
        client.sendall(b"PROXY UNKNOWN\r\n")
        assert client.recv(10) == b"new"


def test_pooled_connections_belong_to_the_route_as_it_was(tmp_path):
    """A route keeps its number and gets a stricter way: a connection made before, unverified, serves nobody after."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue("wrong.example")
    context.load_cert_chain(issued.cert, issued.key)

    def behave(raw):
        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as sock, Wire(sock) as wire:
            while wire.read_message() is not None:
                wire.send(ok(b"secret"))

    with serving(behave) as target:
        lax = replace(at(target.port), target_tls=TargetTlsPlan(verify=False))
        strict = replace(lax, target_tls=TargetTlsPlan(ca=authority.file))
        with bench(listener("main", "http", reverse=True, route=lax)) as plane:
            with Wire(plane.connect()) as wire:
                wire.send(request("GET", "http://a.example/"))
                assert wire.read_message().body == b"secret"
            plan = plane.worker.plan
            changed = replace(plan, listeners=(replace(plan.listeners[0], route=strict),))
            assert told(plane, changed, 1) == Reloaded(1)
            with Wire(plane.connect()) as wire:
                wire.send(request("GET", "http://a.example/"))
                assert wire.read_message().status == 502


def test_a_hello_that_comes_after_its_certificates_went():
    """A TLS client that was waiting for while a reload took TLS away still gets the certificate it came to."""
    with contextlib.ExitStack() as stack:
        authority = Authority(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        target = stack.enter_context(serving(echo))
        tls = TlsPlan(certificates=(authority.issue("localhost"),))
        plane = stack.enter_context(bench(listener("main", "tls", target.port, tls=tls)))
        raw = stack.enter_context(plane.connect())
        wait_for(plane.connections, "the connection")
        plan = plane.worker.plan
        changed = replace(plan, listeners=(replace(plan.listeners[0], tls=None),))
        assert told(plane, changed, 1) == Reloaded(1)
        with authority.client_context().wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
