"""Dialing: every address is tried, a slow one gets a rival, and the owner is told exactly once."""

import contextlib
import errno
import resource
import socket
from socket import AF_INET, AF_INET6

import pytest

from penstock.base.bounds import HAPPY_EYEBALLS_NS
from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase
from penstock.config.plan import TargetPlan
from penstock.connection.commands import DialError
from penstock.dataplane import dialer
from penstock.dataplane.dialer import Dial, literal_family
from penstock.dataplane.locality import OwnAddresses
from penstock.dataplane.orders import Notice
from penstock.dataplane.reactor import SLOT_BITS, Reactor
from penstock.dataplane.resolver import Answer
from penstock.testing.peers import echo, read_all, saying, serving
from penstock.testing.workbench import bench, listener, quick

SLOT_NS = 1 << SLOT_BITS


class Owner:
    """Notes what it is told."""

    def __init__(self, reactor):
        self.news, self._reactor = [], reactor

    def dialed(self, sock, fd, mask, address):
        """Note whom it reached."""
        self.news.append(("dialed", address, self._reactor.now))
        self._reactor.bury(fd, sock)

    def dial_failed(self, error, detail):
        """Note why not."""
        self.news.append((error, detail, self._reactor.now))


class Stage:
    """A reactor with a resolver that knows what the test says."""

    def __init__(self):
        self.reactor = Reactor(self._crashed)
        self.names, self.own = {}, OwnAddresses(())
        self.resolver = self

    def _crashed(self, owner, error):
        raise AssertionError(owner) from error

    def resolve(self, host, callback):
        """Answer as the real one: from the cache at once."""
        callback(self.names.get(host, Answer((), "no such name")))

    def dial(self, host, port):
        """Dial, turn until the owner was told, and return what it was told."""
        owner = Owner(self.reactor)
        self.reactor.now = self.reactor.clock()
        dial = Dial(self, owner, host, port)
        dial.start()
        until = self.reactor.now + 8 * NS
        while not owner.news and self.reactor.now < until:
            self.reactor.turn(0.05)
        self.reactor.turn(0)
        assert len(owner.news) == 1
        return owner.news[0]


@pytest.fixture
def stage():
    """A place to dial from."""
    found = Stage()
    yield found
    assert len(found.reactor.table) == 1, "nothing but the waker is left"
    found.reactor.close()


@contextlib.contextmanager
def silent(host="127.0.0.1", port=0):
    """An address that answers no connection request: its backlog is full."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(0)
        address = sock.getsockname()
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.05)
            with contextlib.suppress(OSError):
                filler.connect(address)
        yield address[1]


def answer(*hosts):
    """Return what a resolver says."""
    return Answer(tuple((AF_INET6 if ":" in host else AF_INET, host) for host in hosts))


def test_literal_is_reached(stage):
    """An address that listens is reached, and said to be the remote one."""
    with serving(echo) as target:
        assert stage.dial("127.0.0.1", target.port)[:2] == ("dialed", ("127.0.0.1", target.port))


def test_refused_is_told_as_such(stage, closed_port):
    """A port without a listener is a refusal, and the detail says which address."""
    error, detail, _ = stage.dial("127.0.0.1", closed_port)
    assert error is DialError.REFUSED
    assert detail.startswith(f"127.0.0.1:{closed_port}: ")


def test_unknown_name(stage):
    """A name without addresses is unresolved, and the detail holds the system's message."""
    assert stage.dial("nowhere.example", 80)[:2] == (DialError.UNRESOLVED, "nowhere.example: no such name")


def test_every_address_is_tried(stage):
    """Addresses that refuse are followed by the next at once, whatever their family."""
    with serving(echo) as target:
        stage.names["many"] = answer("127.0.0.3", "::1", "127.0.0.2", "127.0.0.1")
        begin = stage.reactor.now
        what, address, when = stage.dial("many", target.port)
        assert (what, address) == ("dialed", ("127.0.0.1", target.port))
        assert when - begin < HAPPY_EYEBALLS_NS


def test_silent_address_gets_a_rival(stage):
    """Where the first address is silent the second is tried after 250 ms, and wins; the first is given up."""
    with serving(echo) as target, silent("127.0.0.2", target.port):
        stage.names["two"] = answer("127.0.0.2", "127.0.0.1")
        begin = stage.reactor.clock()
        what, address, when = stage.dial("two", target.port)
        assert (what, address) == ("dialed", ("127.0.0.1", target.port))
        assert HAPPY_EYEBALLS_NS <= when - begin <= HAPPY_EYEBALLS_NS + SLOT_NS + NS


def test_rivals_keep_their_distance(stage):
    """Each silent address gets its 250 ms before the next is tried, also after one that refused at once."""
    with serving(echo) as target, silent("127.0.0.2", target.port), silent("127.0.0.3", target.port):
        stage.names["three"] = answer("127.0.0.4", "127.0.0.2", "127.0.0.3", "127.0.0.1")
        begin = stage.reactor.clock()
        when = stage.dial("three", target.port)[2]
        assert when - begin >= 2 * HAPPY_EYEBALLS_NS


def test_all_addresses_fail(stage, closed_port):
    """Where no address can be reached, the owner is told once, after the last."""
    stage.names["many"] = answer("127.0.0.1", "127.0.0.2", "::1")
    assert stage.dial("many", closed_port)[0] is DialError.REFUSED


@pytest.mark.parametrize("order", [("127.0.0.1", "192.0.2.1"), ("192.0.2.1", "127.0.0.1")])
def test_the_error_of_the_address_that_came_furthest(stage, closed_port, order, monkeypatch):
    """A refusal says more than a missing route: it is told, whichever was tried last."""
    connect = dialer.RawSocket.connect_ex

    class Unrouted(dialer.RawSocket):
        def connect_ex(self, address):
            return errno.ENETUNREACH if address[0] == "192.0.2.1" else connect(self, address)

    monkeypatch.setattr(dialer, "RawSocket", Unrouted)
    stage.names["many"] = answer(*order)
    assert stage.dial("many", closed_port)[0] is DialError.REFUSED


def test_cancelled_dial_tells_nobody(stage):
    """Who gave up is told nothing, whether addresses or the name were waited for; attempts are closed."""
    with silent() as port:
        owner = Owner(stage.reactor)
        dial = Dial(stage, owner, "127.0.0.1", port)
        dial.start()
        dial.cancel()
        later = []
        stage.resolve = lambda host, callback: later.append(callback)
        waiting = Dial(stage, owner, "name", port)
        waiting.start()
        waiting.cancel()
        later[0](answer("127.0.0.1"))
        for _ in range(3):
            stage.reactor.turn(0.01)
        assert owner.news == []


def test_own_address_is_refused(stage, closed_port):
    """A destination that is this node itself is a loop, by number and by name."""
    stage.own = OwnAddresses((("127.0.0.1", closed_port),))
    stage.names["me"] = answer("127.0.0.1")
    assert stage.dial("127.0.0.1", closed_port)[0] is DialError.LOOP
    assert stage.dial("me", closed_port)[0] is DialError.LOOP


def test_own_address_among_others_is_passed_over(stage):
    """Where one address of a name is this node's, the others are tried."""
    with serving(echo) as target:
        stage.own = OwnAddresses((("127.0.0.2", target.port),))
        stage.names["mixed"] = answer("127.0.0.2", "127.0.0.1")
        assert stage.dial("mixed", target.port)[0] == "dialed"


def test_no_descriptor_is_our_own_fault(stage):
    """Without a free descriptor the dial fails as out of resources, not as the target's fault."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(echo) as target, socket.socket() as probe:
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno(), limit[1]))
        try:
            error = stage.dial("127.0.0.1", target.port)[0]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert error is DialError.RESOURCE


def test_families():
    """Literals are told from names, and IPv6 from IPv4."""
    assert [literal_family(host) for host in ("127.0.0.1", "::1", "localhost", "127.1")] == [AF_INET, AF_INET6, 0, 0]


# In a worker ---------------------------------------------------------------------------------------------------------


def test_connect_timeout_ends_as_the_targets(closed_port):
    """A target that never answers ends the connection at the connect timeout, as the target's timeout."""
    with silent() as port, bench(listener("main", "tcp", port), timeouts=quick(connect=0.2)) as plane:
        with plane.connect() as client:
            assert read_all(client) == b""
        assert plane.ended()[0].outcome == Outcome(EndedBy.TARGET_TIMEOUT, Phase.DIAL)


def test_all_targets_are_tried(closed_port):
    """A connection is served if any of the listener's targets is up, however the round begins."""
    with serving(saying(b"hello")) as target:
        plan = listener("main", "tcp", closed_port, closed_port, target.port)
        with bench(plan) as plane:
            for _ in range(5):
                with plane.connect() as client:
                    assert read_all(client) == b"hello"


def test_no_target_is_up(closed_port):
    """A connection whose targets all refuse ends as the target's, in the dial."""
    with bench(listener("main", "tcp", closed_port, closed_port)) as plane:
        with plane.connect() as client:
            assert read_all(client) == b""
        assert plane.ended()[0].outcome == Outcome(EndedBy.TARGET, Phase.DIAL)


def test_loop_of_a_tcp_listener_is_refused():
    """A listener that is its own target closes instead of dialing itself until the descriptors end."""
    with bench(listener("main", "tcp", 1)) as plane:
        (target,) = plane.worker.listeners[0].route._standings
        target.plan = TargetPlan(id=1, host="127.0.0.1", port=plane.ports["main"])
        with plane.connect() as client:
            assert read_all(client) == b""
        outcome = plane.ended()[0].outcome
        assert (outcome.ended_by, outcome.phase) == (EndedBy.PROXY, Phase.DIAL)
        assert len(plane.rows()) == 1


def test_crash_after_the_dial_ends_that_connection_at_once(monkeypatch):
    """A fault of ours that a dial's success brings up ends its own connection as internal, without waiting."""
    with serving(echo) as target, bench(listener("main", "tcp", target.port)) as plane:
        plane.forgiving = True
        monkeypatch.setattr("penstock.dataplane.connection.Connection.relay", lambda *_: 1 // 0)
        with plane.connect() as client:
            assert read_all(client) == b""
        assert plane.ended()[0].outcome.ended_by is EndedBy.INTERNAL
        assert "ZeroDivisionError" in plane.report(Notice).detail
