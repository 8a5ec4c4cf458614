"""
The engine without sockets: it holds what the client sent, answers what bytes can answer, and waits for the rest.

`testing.playbook` plays scripts on it; a fuzzing test may drive it by hand.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from penstock.base import bounds
from penstock.base.outcomes import Phase
from penstock.connection.commands import (
    REACHED,
    Answer,
    Associate,
    Bind,
    Bound,
    ClientClosed,
    Close,
    Command,
    Conversation,
    Datagrams,
    DeadlinePassed,
    Describe,
    DialAny,
    Dialed,
    Exchange,
    Login,
    Need,
    Peek,
    Relay,
    RelayAny,
    Send,
    TooLong,
    TurnAway,
    Until,
    Verify,
)
from penstock.connection.endings import DOCUMENTED, PHASES, ending

DIALED = Dialed("192.0.2.1", 40_000, "192.0.2.2", 80)
"""What a dial is answered with where a test does not care (RFC 5737 keeps these addresses for examples)."""

BOUND = Bound("192.0.2.1", 50_000)
"""What `Bind` and `Associate` are answered with where a test does not care."""

LAST_WORDS = (Relay, Datagrams, Close)

_COMMANDS = 100_000  # a script of 64 KiB fed byte by byte resumes a peeking conversation once a byte

_Reader = Need | Until | Peek


class Mismatch(AssertionError):  # noqa: N818 - it is a failed test, not an error of the program
    """A conversation did not do what the script or the engine's contract says."""


class Stage:
    """
    One conversation and the engine that serves it.

    Args:
        conversation: A fresh conversation; it is started at once.

    Attributes:
        pending: The command that waits for more bytes or for `answer`; a last word once it is spoken.
        sent: Bytes sent to the client that nobody has claimed with `claim`.
        history: Every command so far, in order.
        described: The latest `Describe`.
        phase: The phase that the commands brought.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._input = bytearray()
        self._client_is_gone = False
        self.sent = bytearray()
        self.history: list[Command] = []
        self.described = Describe()
        self.phase = Phase.DETECT
        self.pending: Command = Send(b"")
        self._resume(conversation.send, None)
        self._run()

    @property
    def leftover(self) -> bytes:
        """What the client sent and no command has taken."""
        return bytes(self._input)

    @property
    def waits_for_client(self) -> bool:
        """Whether the pending command waits for bytes."""
        return isinstance(self.pending, _Reader)

    @property
    def over(self) -> bool:
        """Whether the last word is spoken."""
        return isinstance(self.pending, LAST_WORDS)

    def feed(self, data: bytes) -> None:
        """Let the client send `data`, in one piece."""
        self._input += data
        self._run()

    def take(self, count: int) -> bytes:
        """Take bytes past the conversation, as the engine does with the body of an `Exchange`."""
        taken = bytes(self._input[:count])
        del self._input[:count]
        return taken

    def claim(self, count: int) -> bytes:
        """Return and forget the first bytes sent to the client."""
        claimed = bytes(self.sent[:count])
        del self.sent[:count]
        return claimed

    def hang_up(self) -> None:
        """Let the client close."""
        self._client_is_gone = True
        self._run()

    def pass_deadline(self) -> None:
        """Let the deadline of a command that waits for bytes pass."""
        if not self.waits_for_client:
            raise Mismatch(f"the deadline passed while nothing waited for the client, but {self.pending!r} was pending")
        self._resume(self._conversation.throw, DeadlinePassed(len(self._input)))
        self._run()

    def answer(self, answer: Any) -> None:
        """Answer the pending command; an exception is thrown in."""
        if self.over or self.waits_for_client:
            raise Mismatch(f"{self.pending!r} takes no answer, and {answer!r} was given")
        self._resume(self._conversation.throw if isinstance(answer, BaseException) else self._conversation.send, answer)
        self._run()

    def _resume(self, resume: Callable[[Any], Command], value: Any) -> None:
        if len(self.history) >= _COMMANDS:
            raise Mismatch(f"the conversation goes in circles: {_COMMANDS} commands, the last {self.pending!r}")
        try:
            command = resume(value)
        except StopIteration:
            raise Mismatch(f"the conversation ended without a last word, after {self.pending!r}") from None
        except DOCUMENTED as escaped:
            command = Close(ending(escaped, self.phase), str(escaped))
        if isinstance(command, RelayAny):
            self._conversation.close()
            self._conversation = _relay_any()
            command = next(self._conversation)
        self.history.append(command)
        self.pending = command
        self.phase = PHASES.get(type(command), self.phase)
        if isinstance(command, Relay):
            with suppress(StopIteration):
                self._conversation.send(None)
        if self.over:
            self._conversation.close()  # a generator that yields here raises RuntimeError, and so fails its test

    def _run(self) -> None:
        while True:
            command = self.pending
            if isinstance(command, _Reader):
                answer = self._read(command)
                if answer is None:
                    return
                self._resume(
                    self._conversation.throw if isinstance(answer, BaseException) else self._conversation.send, answer
                )
            elif isinstance(command, Send):
                _check_status(command)
                self.sent += command.data
                self._resume(self._conversation.send, None)
            elif isinstance(command, Login | TurnAway):
                self._resume(self._conversation.send, None)
            elif isinstance(command, Verify) and command.known is not None:
                self._resume(self._conversation.send, command.known)
            elif isinstance(command, Describe):
                self.described = command
                self._resume(self._conversation.send, None)
            else:
                return

    def _read(self, command: _Reader) -> bytes | Exception | None:
        size = command.limit if isinstance(command, Until) else command.count
        if not 0 < size <= bounds.HANDSHAKE_BUFFER_BYTES:
            raise Mismatch(f"{command!r} asks for what the engine does not hold")
        if isinstance(command, Until):
            found = self._input.find(command.delimiter, 0, size)
            if found >= 0:
                return self.take(found + len(command.delimiter))
            if len(self._input) >= size:
                return TooLong()
        elif len(self._input) >= size:
            return self.take(size) if isinstance(command, Need) else self.leftover
        return ClientClosed(len(self._input)) if self._client_is_gone else None


def _relay_any() -> Conversation:
    """Say one by one what the engine does at this word."""
    yield DialAny()
    yield REACHED
    yield Relay()


def _check_status(command: Send) -> None:
    """Hold every answer of HTTP to its status: what is counted is what the client hears."""
    if command.data.startswith(b"HTTP/1.1 "):
        told = int(command.data[9:12])
        if not isinstance(command, Answer) or command.status != told:
            raise Mismatch(f"{command!r} is not counted as an answer with status {told}")


class Performance(NamedTuple):
    """
    What came of a conversation that was left to itself.

    Args:
        last_word: Its last command; None if it still waits for the client.
        sent: All bytes to the client.
        asked: Every command that was neither for bytes nor to send them.
        leftover: What the client sent and nobody took.
    """

    last_word: Command | None
    sent: bytes
    asked: tuple[Command, ...]
    leftover: bytes


def improvise(
    conversation: Conversation, chunks: Iterable[bytes], answers: Callable[[Command], Any] | None = None
) -> Performance:
    """
    Let a client send `chunks` and close, answer whatever is asked, and return what came of it.

    Args:
        conversation: A fresh conversation.
        chunks: What the client sends.
        answers: Gives the answer to a command; by default every dial succeeds and an `Exchange` may go on.
    """
    stage = Stage(conversation)
    respond = answers or _yes
    for chunk in chunks:
        stage.feed(chunk)
    stage.hang_up()
    while not stage.over:
        stage.answer(respond(stage.pending))
    asked = tuple(command for command in stage.history if not isinstance(command, _Reader | Send))
    return Performance(stage.pending, bytes(stage.sent), asked, stage.leftover)


def _yes(command: Command) -> Any:
    if isinstance(command, Bind | Associate):
        return BOUND
    if isinstance(command, DialAny):
        return None
    return True if isinstance(command, Exchange) else DIALED
