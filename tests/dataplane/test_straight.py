"""Dialing one address: reached or not, the owner is told exactly once, and nothing is left behind."""

import contextlib
import errno
import socket
from typing import NamedTuple

import pytest

from penstock.base.outcomes import Reason
from penstock.connection.commands import DialError
from penstock.dataplane import straight
from penstock.dataplane.locality import OwnAddresses
from penstock.dataplane.reactor import Reactor
from penstock.dataplane.straight import dial_straight
from penstock.policy.access import Refusal
from penstock.testing.peers import echo, serving


class Stage:
    """A worker of which there is a reactor, and an owner who notes what it is told."""

    def __init__(self, near):
        self.near = near
        self.reactor, self.own, self.news = Reactor(self._crashed), OwnAddresses(()), []

    def _crashed(self, owner, error):
        raise AssertionError(owner) from error

    def dialed(self, sock, fd, mask, address):
        """Note whom it reached, and how the socket is set up."""
        options = (socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_OOBINLINE)
        self.news.append(("dialed", address, *(bool(sock.getsockopt(*each)) for each in options)))
        self.reactor.bury(fd, sock)

    def dial_failed(self, error, detail):
        """Note why not."""
        self.news.append((error, detail))

    def reach(self, port, permit=None):
        """Dial, turn until the owner was told, and return what it was told."""
        dial_straight(self, self, socket.AF_INET, "127.0.0.1", port, permit, ask=self.near)
        for _ in range(100):
            self.reactor.turn(0.05 if not self.news else 0)
        (told,) = self.news
        return told


@pytest.fixture(params=[True, False], ids=["asked at once", "waited for"])
def near(request):
    """Whether it is asked at once if it has answered."""
    return request.param


@pytest.fixture
def stage(near):
    """A place to dial from."""
    found = Stage(near)
    yield found
    assert len(found.reactor.table) == 1, "nothing but the waker is left"
    found.reactor.close()


class Busy(NamedTuple):
    """A listener that answers nobody."""

    port: int


@contextlib.contextmanager
def busy():
    """Listen, with a backlog that is full."""
    with socket.socket() as sock, socket.socket() as first:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        first.connect(sock.getsockname())
        yield Busy(sock.getsockname()[1])


def test_an_address_is_reached(stage):
    """The owner has the socket, which sends at once and keeps urgent bytes in their place."""
    with serving(echo) as target:
        assert stage.reach(target.port) == ("dialed", ("127.0.0.1", target.port), True, True)


def test_refused_is_told_as_such(stage, closed_port):
    """A port without a listener is a refusal, and the detail says which address."""
    error, detail = stage.reach(closed_port)
    assert error is DialError.REFUSED
    assert detail.startswith(f"127.0.0.1:{closed_port}: ")


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENETUNREACH, DialError.NETWORK_UNREACHABLE), (errno.EADDRNOTAVAIL, DialError.RESOURCE)]
)
def test_what_fails_at_once(stage, closed_port, monkeypatch, code, error):
    """A connect that fails before it waits is told before `start` returns."""

    class Failing(straight.RawSocket):
        def connect_ex(self, address):
            return code

    monkeypatch.setattr(straight, "RawSocket", Failing)
    assert stage.reach(closed_port)[0] is error


def test_no_descriptor_is_left(stage, closed_port, monkeypatch):
    """Where no socket can be made, the proxy is out of resources."""

    def fail(*_):
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(straight, "RawSocket", fail)
    assert stage.reach(closed_port)[0] is DialError.RESOURCE


def test_own_address_is_refused(stage, closed_port):
    """A destination that is this node itself is a loop."""
    stage.own = OwnAddresses((("127.0.0.1", closed_port),))
    assert stage.reach(closed_port) == (DialError.LOOP, f"127.0.0.1:{closed_port} is this proxy itself")


def test_a_permit_is_asked(stage, closed_port):
    """What access rules forbid is not dialed."""

    class Permit:
        def address(self, address):
            return Refusal(Reason.DESTINATION, f"not to {address}")

    assert stage.reach(closed_port, Permit()) == (DialError.FORBIDDEN, "not to 127.0.0.1")


@pytest.mark.parametrize("expires", [True, False])
def test_nobody_waits_for_ever(stage, near, expires):
    """A dial that expires is told as a timeout; one that is cancelled is not told; neither keeps its socket."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(serving(echo) if not near else busy())
        dial_straight(stage, stage, socket.AF_INET, "127.0.0.1", target.port, None, ask=near)
        (stage.dial.expire if expires else stage.dial.cancel)()
        stage.reactor.turn(0)
        assert [error for error, _ in stage.news] == [DialError.TIMEOUT] * expires
