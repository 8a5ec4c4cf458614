"""The stage: the engine's contract of connection/commands.py, without sockets."""

import pytest

from penstock.base import bounds
from penstock.base.errors import RemoteError
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.connection.commands import (
    Answer,
    ClientClosed,
    Close,
    DeadlinePassed,
    Describe,
    Dial,
    DialAny,
    DialError,
    DialFailed,
    Need,
    Peek,
    Relay,
    RelayAny,
    Send,
    TooLong,
    Until,
)
from penstock.testing.stage import DIALED, Mismatch, Stage, improvise


def conversation(*commands):
    """A conversation that says these commands and repeats each answer that is bytes to the client."""
    for command in commands:
        answer = yield command
        if isinstance(answer, bytes):
            yield Send(b"<" + answer + b">")


def test_need_takes_exactly_its_bytes_once_they_are_there():
    """`Need` waits for its count and leaves the rest."""
    stage = Stage(conversation(Need(3), Relay()))
    stage.feed(b"ab")
    assert stage.waits_for_client
    stage.feed(b"cd")
    assert (bytes(stage.sent), stage.leftover, stage.pending) == (b"<abc>", b"d", Relay())


def test_peek_answers_all_that_is_there_and_takes_nothing():
    """`Peek` shows at least its count, all of it, and the bytes stay."""
    stage = Stage(conversation(Peek(2), Relay()))
    stage.feed(b"a")
    stage.feed(b"bcd")
    assert (bytes(stage.sent), stage.leftover) == (b"<abcd>", b"abcd")


@pytest.mark.parametrize("text", [b"ab\r\n", b"abcd\r\n"])
def test_until_takes_up_to_and_with_the_delimiter(text):
    """`Until` answers with its delimiter, even where that ends exactly at the limit."""
    stage = Stage(conversation(Until(b"\r\n", 6), Relay()))
    for byte in text:
        stage.feed(bytes([byte]))
    stage.feed(b"rest")
    assert (bytes(stage.sent), stage.leftover) == (b"<" + text + b">", b"rest")


def test_until_gives_up_at_its_limit():
    """Without a delimiter in `limit` bytes the conversation ends as too long; the phase is that of the command."""
    stage = Stage(conversation(Until(b"\r\n", 6)))
    stage.feed(b"abcde")
    assert stage.waits_for_client
    stage.feed(b"\r\n")
    assert stage.pending == Close(Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL))


@pytest.mark.parametrize(
    ("command", "phase"), [(Peek(4), Phase.DETECT), (Need(4), Phase.NEGOTIATE), (Until(b"\n", 9), Phase.NEGOTIATE)]
)
def test_closing_and_deadline_are_thrown_into_whoever_waits(command, phase):
    """A conversation that does not catch the news ends with the outcome that it stands for."""
    closed, late = Stage(conversation(command)), Stage(conversation(command))
    closed.feed(b"abc")
    closed.hang_up()
    late.pass_deadline()
    assert (type(closed.pending), closed.pending.outcome) == (Close, Outcome(EndedBy.CLIENT, phase))
    assert (type(late.pending), late.pending.outcome) == (Close, Outcome(EndedBy.CLIENT_TIMEOUT, phase))


def test_news_may_be_caught():
    """Every exception reaches the conversation, which may go on."""

    def stubborn():
        seen = []
        for command in (Until(b"\n", 2), Need(9), Need(9), DialAny()):
            try:
                yield command
            except (TooLong, DeadlinePassed, ClientClosed, DialFailed) as news:
                seen.append(type(news).__name__)
        yield Close(COMPLETE, " ".join(seen))

    stage = Stage(stubborn())
    stage.feed(b"ab")
    stage.pass_deadline()
    stage.hang_up()
    stage.answer(DialFailed(DialError.REFUSED))
    assert stage.pending == Close(COMPLETE, "TooLong DeadlinePassed ClientClosed DialFailed")


def test_remote_error_becomes_a_close_with_its_line():
    """A parser's RemoteError may escape: the connection ends as protocol, and the line goes to the log."""

    def broken():
        yield Need(1)
        raise RemoteError("version 9 is none")

    assert improvise(broken(), [b"\x09"]).last_word == Close(
        Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL), "version 9 is none"
    )


def test_faults_of_ours_are_not_hidden():
    """Any other exception reaches the test as it is."""

    def faulty():
        yield Need(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        improvise(faulty(), [b"x"])


def test_a_conversation_needs_a_last_word():
    """Ending without `Relay`, `Datagrams` or `Close` would leave a connection without an outcome."""
    with pytest.raises(Mismatch, match="without a last word"):
        improvise(conversation(Send(b"x")), [])


def test_a_conversation_that_goes_in_circles_is_stopped():
    """A peek that is never followed by a take would spin in the engine."""

    def spinning():
        while True:
            yield Peek(1)

    with pytest.raises(Mismatch, match="circles"):
        improvise(spinning(), [b"x"])


@pytest.mark.parametrize("command", [Need(0), Need(bounds.HANDSHAKE_BUFFER_BYTES + 1), Until(b"\n", 1 << 20)])
def test_nobody_may_ask_for_more_than_the_engine_holds(command):
    """What does not fit the handshake buffer could never be answered."""
    with pytest.raises(Mismatch, match="does not hold"):
        Stage(conversation(command))


def test_only_questions_are_answered_and_only_waits_have_deadlines():
    """A test that answers a last word or lets a deadline pass during a dial is wrong itself."""
    with pytest.raises(Mismatch, match="takes no answer"):
        Stage(conversation(Relay())).answer(DIALED)
    with pytest.raises(Mismatch, match="nothing waited"):
        Stage(conversation(DialAny(), Relay())).pass_deadline()


def test_improvise_answers_whatever_is_asked():
    """Left to itself, a dial succeeds, and the performance holds what was asked, sent and left."""
    came = improvise(conversation(Describe("a:1", "u"), Need(1), Dial("a", 1), Relay()), [b"x", b"yz"])
    assert came.asked == (Describe("a:1", "u"), Dial("a", 1), Relay())
    assert (came.last_word, came.sent, came.leftover) == (Relay(), b"<x>", b"yz")


def test_relaying_to_any_target_is_a_dial_and_a_relay():
    """The engine does both at one word, and a script names them one by one."""
    came = improvise(conversation(RelayAny()), [b"x"])
    assert came.asked == (DialAny(), Relay())
    stage = Stage(conversation(RelayAny()))
    stage.answer(DialFailed(DialError.REFUSED, "no"))
    assert stage.pending.outcome.phase is Phase.DIAL


@pytest.mark.parametrize(
    "command", [Send(b"HTTP/1.1 404 X\r\n\r\n"), Answer(b"HTTP/1.1 404 X\r\n\r\n"), Answer(b"HTTP/1.1 404 X", 200)]
)
def test_an_answer_is_counted_as_what_it_says(command):
    """A conversation that tells the client one status and the engine another, or none, fails its test."""
    with pytest.raises(Mismatch, match="404"):
        Stage(conversation(command, Relay()))
    assert bytes(Stage(conversation(Answer(b"HTTP/1.1 404 X", 404), Relay())).sent) == b"HTTP/1.1 404 X"
