"""Logins that a file decides: asked of the supervisor, remembered, forgotten, and never in anybody's way."""

import contextlib
import socket
import struct

import pytest

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.connection.commands import Verified, Verify
from penstock.dataplane import orders, verifying
from penstock.dataplane.verifying import Logins
from penstock.protocols.http1.credentials import serialize_basic
from penstock.testing.http_peers import Wire, ok, origin
from penstock.testing.peers import echo, serving
from penstock.testing.socks_peers import CONNECT, command, read_reply
from penstock.testing.workbench import bench, listener, quick, wait_for

AUTH = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)
OVERLOAD = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.OVERLOAD)
ASKED = Verify("/users", b"ann", b"secret")


class Asked:
    """A supervisor that keeps what it is asked."""

    def __init__(self):
        self.questions, self.deaf = [], False

    def __call__(self, question):
        """Take a question."""
        self.questions.append(question)
        return not self.deaf


class Waiting:
    """A connection that waits."""

    client = "192.0.2.1"

    def __init__(self, user, digest):
        self.user, self.digest, self.answers = user, digest, []

    def go_on(self, verified):
        """Take the answer."""
        self.answers.append(verified)


class Wheel:
    """A reactor of which only the time is read."""

    now = 0


@pytest.fixture
def logins():
    """What a worker knows, and what its supervisor was asked."""
    asked = Asked()
    found = Logins(Wheel(), asked)
    found.asked = asked
    return found


def ask(logins, command=ASKED):
    """Ask, and return who waits for it."""
    waiting = Waiting(command.user, logins.digest(command))
    waiting.number = logins.ask(waiting, command, "192.0.2.1")
    return waiting


def test_what_was_right_is_remembered(logins):
    """For five minutes, or until a file changes; what was wrong is asked again."""
    waiting = ask(logins)
    assert logins.asked.questions == [orders.Verify(1, "/users", b"ann", b"secret", "192.0.2.1")]
    assert not logins.knows(waiting.digest)
    logins.hear(orders.Verified(1, Verified.RIGHT))
    assert waiting.answers == [Verified.RIGHT]
    assert logins.knows(waiting.digest)
    logins._reactor.now = 300 * NS
    assert not logins.knows(waiting.digest)
    for verified in (Verified.WRONG, Verified.BUSY):
        other = ask(logins, Verify("/users", b"bob", b"x"))
        logins.hear(orders.Verified(other.number, verified))
        assert other.answers == [verified]
        assert not logins.knows(other.digest)
    again = ask(logins)
    logins.hear(orders.Verified(again.number, Verified.RIGHT))
    logins.forget()
    assert not logins.knows(again.digest)


def test_no_two_logins_are_known_by_one_hash(logins):
    """File, user and password are told apart wherever one ends and the next begins, and by another key elsewhere."""
    triples = [("/a", b"b", b"c"), ("/ab", b"", b"c"), ("/a", b"bc", b""), ("/a", b"", b"bc"), ("/", b"ab", b"c")]
    assert len({logins.digest(Verify(*each)) for each in triples}) == len(triples)
    assert logins.digest(ASKED) != Logins(Wheel(), Asked()).digest(ASKED)


def test_memory_is_bounded(logins, monkeypatch):
    """The oldest right login makes room, and so many may wait."""
    monkeypatch.setattr(verifying, "LOGINS_REMEMBERED", 2)
    monkeypatch.setattr(verifying, "LOGINS_WAITING", 3)
    known = [ask(logins, Verify("/users", b"%d" % number, b"")) for number in range(3)]
    assert ask(logins).number == 0
    for each in known:
        logins.hear(orders.Verified(each.number, Verified.RIGHT))
    assert [logins.knows(each.digest) for each in known] == [False, True, True]
    logins.give_up(ask(logins).number)
    assert not logins._waiting


def test_a_supervisor_that_does_not_read(logins):
    """A question that cannot be sent is answered by nobody, and nobody waits for it."""
    logins.asked.deaf = True
    assert ask(logins).number == 0
    assert not logins._waiting
    logins.hear(orders.Verified(7, Verified.RIGHT))


def test_who_failed_is_doubted(logins):
    """An address whose login was wrong, for five minutes; not another one, and not whom it has proved to be lately."""
    waiting = ask(logins)
    logins.proved("192.0.2.1", b"bob")
    logins.hear(orders.Verified(waiting.number, Verified.WRONG))
    assert logins.doubts("192.0.2.1", b"ann")
    assert not logins.doubts("192.0.2.1", b"bob")
    assert not logins.doubts("192.0.2.2", b"ann")
    logins._reactor.now = 300 * NS
    assert not logins.doubts("192.0.2.1", b"ann")
    logins.failed("192.0.2.1")
    assert logins.doubts("192.0.2.1", b"bob")


def test_the_first_failure_of_late_is_told_apart(logins):
    """And an IPv6 network of 64 bits is one client."""
    assert [logins.failed(each) for each in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == [True, False, True]
    assert [logins.failed(each) for each in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")] == [True, False, True]
    logins._reactor.now = 300 * NS
    assert logins.failed("192.0.2.1")


def test_what_is_known_of_clients_is_bounded(logins, monkeypatch):
    """The oldest make room."""
    monkeypatch.setattr(verifying, "LOGINS_REMEMBERED", 2)
    monkeypatch.setattr(verifying, "ADDRESSES", 2)
    for number in range(9):
        logins.proved("192.0.2.1", b"%d" % number)
        logins.failed(f"192.0.2.{number}")
    assert (len(logins._proved), len(logins._failing)) == (2, 2)


# In a worker ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving_users(protocol, **more):
    """Run a worker whose listener asks for logins of a file, and yield it with the port of its target."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(serving(echo) if protocol == "socks5" else origin(lambda *_: ok(b"hi")))
        main = listener("main", protocol, users_file="/users", allow_private=True)
        yield stack.enter_context(bench(main, **more)), target.port


def greet(plane, user=b"ann", password=b"secret"):
    """Return a SOCKS client that has said who it is."""
    wire = Wire(plane.connect())
    wire.send(b"\x05\x01\x02")
    assert wire.read(2) == b"\x05\x02"
    wire.send(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
    return wire


def answer(plane, verified):
    """Answer the next question of a worker, and return it."""
    question = plane.report(orders.Verify)
    plane.order(orders.Verified(question.number, verified))
    return question


def test_a_right_login_goes_on():
    """The client waits for the answer, what it says meanwhile is kept; the next one with its login waits for none."""
    with serving_users("socks5") as (plane, port):
        wire = greet(plane)
        wire.send(command(CONNECT, "127.0.0.1", port))
        question = answer(plane, Verified.RIGHT)
        assert (question.users_file, question.user, question.password) == ("/users", b"ann", b"secret")
        assert question.client == "127.0.0.1"
        for each in (wire, greet(plane)):
            assert each.read(2) == b"\x01\0"
        assert read_reply(wire).code == 0
        wire.send(b"ping")
        assert wire.read(4) == b"ping"


def test_a_wrong_login_is_refused():
    """It hears so, ends as auth, and the next one is asked about again."""
    with serving_users("socks5") as (plane, _):
        for count in (1, 2):
            wire = greet(plane)
            answer(plane, Verified.WRONG)
            assert wire.read(2) == b"\x01\x01"
            assert plane.ended(count)[-1].outcome == AUTH


def test_nobody_answers():
    """A login that is not verified within the time of a handshake is refused as overload."""
    with serving_users("socks5", timeouts=quick(handshake=60)) as (plane, _):
        wire = greet(plane)
        number = plane.report(orders.Verify).number
        plane.later(61)
        assert wire.read(2) == b"\x01\x01"
        assert plane.ended()[0].outcome == OVERLOAD
        plane.order(orders.Verified(number, Verified.RIGHT))  # too late, and nobody's
        assert plane.faults() == []


def test_a_client_that_leaves_waits_no_more():
    """A reset ends it; its answer reaches nobody."""
    with serving_users("socks5") as (plane, _):
        wire = greet(plane)
        number = plane.report(orders.Verify).number
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.close()
        assert plane.ended()[0].outcome.ended_by is EndedBy.CLIENT
        wait_for(lambda: not plane.worker.logins._waiting)
        plane.order(orders.Verified(number, Verified.RIGHT))


def test_no_login_is_as_long():
    """What no file can hold is asked of nobody."""
    with serving_users("http") as (plane, port):
        wire = Wire(plane.connect())
        wire.send(request(port, "ann", "x" * 300))
        assert wire.read_message().status == 407
        assert not [each for each in plane.reports if isinstance(each, orders.Verify)]


def request(port, user, password):
    """Return a request of a proxy's client."""
    return (
        b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nProxy-Authorization: " % (port, port)
        + serialize_basic(user, password)
        + b"\r\n\r\n"
    )


def test_http_requests_of_one_client():
    """The first is asked about, those that follow are known, until users change: then the next one is asked about."""
    with serving_users("http") as (plane, port):
        wire = Wire(plane.connect())
        wire.send(request(port, "ann", "secret"))
        answer(plane, Verified.RIGHT)
        for _ in range(5):
            assert wire.read_message().status == 200
            wire.send(request(port, "ann", "secret"))
        assert wire.read_message().status == 200
        plane.order(orders.NewUsers())
        wait_for(lambda: not plane.worker.logins._right)
        wire.send(request(port, "ann", "secret"))
        answer(plane, Verified.WRONG)
        assert wire.read_message().status == 407


def test_http_without_an_answer():
    """A request whose login nobody can verify is answered with 503, and ends as overload."""
    with serving_users("http") as (plane, port):
        wire = Wire(plane.connect())
        wire.send(request(port, "ann", "secret"))
        answer(plane, Verified.BUSY)
        assert wire.read_message().status == 503
        assert plane.ended()[0].outcome == OVERLOAD


CONFIGURED = {"ann": "secret", "bob": "word"}


def test_users_of_the_configuration_are_heard_late_after_a_failure():
    """The first wrong login is told to the supervisor, and answered at once; the next one waits for its answer."""
    with bench(listener("main", "socks5", users=CONFIGURED)) as plane:
        assert greet(plane, password=b"guess").read(2) == b"\x01\x01"
        told = plane.report(orders.Verify)
        assert (told.known, told.password, told.client) == (Verified.WRONG, b"", "127.0.0.1")
        wire = greet(plane, password=b"guess")
        assert answer(plane, Verified.WRONG).known is Verified.WRONG
        assert wire.read(2) == b"\x01\x01"
        assert [each.outcome for each in plane.ended(2)] == [AUTH, AUTH]


def test_haste_does_not_tell_who_guessed_right():
    """A right login of an address with failures is heard as late, and where there is no room not at all."""
    with bench(listener("main", "socks5", users=CONFIGURED)) as plane:
        assert greet(plane, b"bob", b"word").read(2) == b"\x01\0"
        assert greet(plane, password=b"guess").read(2) == b"\x01\x01"
        plane.report(orders.Verify)
        assert greet(plane, b"bob", b"word").read(2) == b"\x01\0"  # as it has proved to be before
        for verified, heard in ((Verified.BUSY, b"\x01\x01"), (Verified.RIGHT, b"\x01\0")):
            wire = greet(plane)
            question = answer(plane, verified)
            assert (question.known, question.users_file) == (Verified.RIGHT, "")
            assert wire.read(2) == heard
        assert greet(plane).read(2) == b"\x01\0"


def test_a_remembered_login_of_a_file_is_no_answer_for_who_guesses():
    """What somebody else has logged in with is asked again where it comes from an address with failures."""
    with serving_users("socks5") as (plane, _):
        digest = plane.worker.logins.digest(ASKED)
        plane.worker.logins._right[digest] = 1 << 62
        wire = greet(plane, password=b"guess")
        answer(plane, Verified.WRONG)
        assert wire.read(2) == b"\x01\x01"
        wire = greet(plane)
        assert answer(plane, Verified.RIGHT).password == b"secret"
        assert wire.read(2) == b"\x01\0"
