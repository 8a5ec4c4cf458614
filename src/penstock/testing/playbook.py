"""
Screenplays: what the client says and what the proxy does about it, without a socket.

    perform(
        lambda: socks5(FACTS, LISTENER),
        says(b"\\x05\\x01\\x00"),
        hears(b"\\x05\\x00"),
        says(b"\\x05\\x01\\x00\\x03\\x0bexample.org\\x01\\xbb"),
        dials("example.org", 443),
        hears(b"\\x05\\x00\\x00\\x01\\xc0\\x00\\x02\\x01\\x9c\\x40"),
        relays(),
    )

Every script is played whole, byte by byte, all at once, and with a tail behind it, as far as that fits it: the same
bytes in any split must give the same conversation.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import UNSET, Struct, UnsetType, field

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import RoutePlan, TargetPlan
from penstock.connection.commands import (
    Associate,
    Await,
    Bind,
    Bound,
    Close,
    Command,
    Conversation,
    Datagrams,
    Decide,
    Describe,
    Dial,
    DialAny,
    Dialed,
    Exchange,
    Relay,
    Secure,
    Take,
    Undecided,
    Verdict,
)
from penstock.testing.stage import BOUND, DIALED, Mismatch, Stage

TAIL = b"\x00\xfftail behind the last word\r\n"
"""What a client sends early. It begins with bytes that no protocol would take for its own next message."""


class Step(Protocol):
    """One line of a script."""

    def play(self, stage: Stage) -> None:
        """Do or check what the line says; raises Mismatch."""


class says(Struct, frozen=True):  # noqa: N801 - a script reads as a sentence
    """The client sends these bytes."""

    data: bytes

    def play(self, stage: Stage) -> None:
        """Feed them in one piece."""
        stage.feed(self.data)


class hangs_up(Struct, frozen=True):  # noqa: N801
    """The client closes."""

    def play(self, stage: Stage) -> None:
        """Close the client's direction."""
        stage.hang_up()


class deadline_passes(Struct, frozen=True):  # noqa: N801
    """The deadline passes while the conversation waits for bytes."""

    def play(self, stage: Stage) -> None:
        """Throw it in."""
        stage.pass_deadline()


class hears(Struct, frozen=True):  # noqa: N801
    """The client has been sent these bytes, by however many commands."""

    data: bytes

    def play(self, stage: Stage) -> None:
        """Claim them."""
        if not stage.sent.startswith(self.data):
            raise Mismatch(f"the client was sent {bytes(stage.sent)!r}, and then {stage.pending!r}")
        stage.claim(len(self.data))


class describes(Struct, frozen=True):  # noqa: N801
    """The ledger has been told this; what is not given is not checked."""

    destination: str | UnsetType = UNSET
    user: str | UnsetType = UNSET

    def play(self, stage: Stage) -> None:
        """Compare the latest description."""
        _compare(stage.described, {"destination": self.destination, "user": self.user})


class asks(Struct, frozen=True):  # noqa: N801
    """
    The conversation asks the engine for something, after the client has heard all that the script says.

    Args:
        command: What it yields.
        fields: What the command must hold; others are not checked.
        answer: What it is resumed with; an exception is thrown in; UNSET after a last word.
        body: Bytes that the engine takes from the client before it answers (the body of an `Exchange`).
        leftover: What the client has sent early, where that is to be checked.
    """

    command: type[Command]
    fields: dict[str, Any] = field(default_factory=dict)
    answer: Any = UNSET
    body: bytes = b""
    leftover: bytes | UnsetType = UNSET

    def play(self, stage: Stage) -> None:
        """Compare the pending command and answer it."""
        if not isinstance(stage.pending, self.command):
            raise Mismatch(f"{stage.pending!r}")
        if stage.sent:
            raise Mismatch(f"the client was sent {bytes(stage.sent)!r} before it, which no line of the script hears")
        _compare(stage.pending, self.fields)
        if stage.take(len(self.body)) != self.body:
            raise Mismatch("the client had not sent that body by then")
        if self.leftover is not UNSET and stage.leftover != self.leftover:
            raise Mismatch(f"{stage.leftover!r} is what the client had sent early")
        if self.answer is not UNSET:
            stage.answer(self.answer)


def dials(
    host: str, port: int, answer: Dialed | Exception = DIALED, *, target: TargetPlan | UnsetType | None = UNSET
) -> asks:
    """Return the line: it dials this destination and is answered so."""
    return asks(Dial, {"host": host, "port": port, "target": target}, answer)


def dials_any(answer: Exception | None = None) -> asks:
    """Return the line: it dials one of the listener's targets and is answered so; nobody asks which it became."""
    return asks(DialAny, answer=answer)


def takes(route: RoutePlan) -> asks:
    """Return the line: it takes this route."""
    return asks(Take, {"route": route}, None)


def decides(route: RoutePlan, verdict: Verdict | Undecided = ()) -> asks:
    """Return the line: it asks the handler of this route, and is answered so."""
    return asks(Decide, {"route": route}, verdict)


def secures(answer: Exception | None = None, *, proves: str = "") -> asks:
    """Return the line: it terminates the client's TLS, to prove a name or, without one, to serve it."""
    return asks(Secure, {"proves": proves}, answer)


class Proofs:
    """
    Stands in for the ACME challenges of a worker.

    Args:
        tokens: What answers each token.
        names: That are being proved by tls-alpn-01.
    """

    def __init__(self, tokens: Mapping[str, str] | None = None, names: Collection[str] = ()) -> None:
        self._tokens, self._names = tokens or {}, names

    def key_authorization(self, token: str) -> str:
        """Return what answers a token."""
        return self._tokens.get(token, "")

    def has_certificate(self, name: str) -> bool:
        """Return whether a name is being proved."""
        return name in self._names


def binds(host: str, port: int, answer: Bound | Exception = BOUND) -> asks:
    """Return the line: it listens for a connection from this address and is answered so."""
    return asks(Bind, {"host": host, "port": port}, answer)


def awaits(answer: Dialed | Exception = DIALED) -> asks:
    """Return the line: it waits for the connection that it listens for and is answered so."""
    return asks(Await, answer=answer)


def associates(host: str, port: int, answer: Bound | Exception = BOUND) -> asks:
    """Return the line: it opens a UDP association for this address and is answered so."""
    return asks(Associate, {"host": host, "port": port}, answer)


def exchanges(answer: bool | Exception = True, *, body: bytes = b"", **fields: Any) -> asks:
    """
    Return the line: it carries an HTTP exchange.

    Args:
        answer: Whether the client may go on, or a `DialFailed` to throw in.
        body: What the engine takes from the client meanwhile, as the wire has it (chunked where it is).
        fields: Fields of the command to compare, such as `host`, `head` or `keep_alive`.
    """
    return asks(Exchange, fields, answer, body)


def relays(leftover: bytes = b"") -> asks:
    """Return the last line: it relays, and this is what the client had sent early."""
    return asks(Relay, leftover=leftover)


def carries_datagrams() -> asks:
    """Return the last line: it carries datagrams until the client closes."""
    return asks(Datagrams)


class closes(Struct, frozen=True):  # noqa: N801
    """
    The last line: it closes with this outcome, by itself or by an exception that it lets escape.

    Args:
        ended_by, phase, reason: The outcome.
        detail: What the log line must contain; empty for no matter what.
    """

    ended_by: EndedBy
    phase: Phase
    reason: Reason | None = None
    detail: str = ""

    def play(self, stage: Stage) -> None:
        """Compare outcome and detail."""
        expected = Outcome(self.ended_by, self.phase, self.reason)
        asks(Close, {"outcome": expected}).play(stage)
        if isinstance(stage.pending, Close) and self.detail not in stage.pending.detail:
            raise Mismatch(f"its detail is {stage.pending.detail!r}")


Script = tuple[Step, ...]


def perform(conversation: Callable[[], Conversation], *script: Step) -> Stage:
    """
    Play a script in every way that fits it and return the stage of the first, for further questions.

    Args:
        conversation: Makes a fresh conversation.
        script: Its lines; the last is `relays`, `carries_datagrams` or `closes`, or the conversation is left waiting.

    Raises:
        Mismatch: If the conversation does anything else; it says in which way, at which line, and what came instead.
    """
    stages = [_play(conversation(), way, lines) for way, lines in _ways(script)]
    return stages[0]


def _play(conversation: Conversation, way: str, script: Script) -> Stage:
    stage = Stage(conversation)
    for number, step in enumerate(script, start=1):
        try:
            step.play(stage)
        except Mismatch as mismatch:
            raise Mismatch(_failure(stage, way, number, step, str(mismatch))) from None
    if stage.sent:
        raise Mismatch(f"({way}) after the script the client was sent {bytes(stage.sent)!r}")
    if not stage.over and not stage.waits_for_client:
        raise Mismatch(f"({way}) the script is over and {stage.pending!r} has no answer")
    return stage


def _failure(stage: Stage, way: str, number: int, step: Step, came: str) -> str:
    history = "\n".join(f"    {command!r}" for command in stage.history[-12:])
    return f"({way}) line {number}\n  expected: {step!r}\n  came:     {came}\n  commands so far:\n{history}"


def _compare(command: Command | Describe, fields: dict[str, Any]) -> None:
    for name, expected in fields.items():
        if expected is not UNSET and getattr(command, name) != expected:
            raise Mismatch(f"{name} is {getattr(command, name)!r}, not {expected!r}, in {command!r}")


def _ways(script: Script) -> Iterable[tuple[str, Script]]:
    yield "whole", script
    yield "byte by byte", tuple(_chopped(script))
    untimed = not any(isinstance(step, hangs_up | deadline_passes) for step in script)
    if untimed:
        yield "all at once", _all_at_once(script)
    if script and isinstance(script[-1], asks) and script[-1].command is Relay:
        yield "with a tail", _with_tail(script, behind_speech=untimed)


def _chopped(script: Script) -> Iterable[Step]:
    for step in script:
        if isinstance(step, says):
            yield from (says(step.data[i : i + 1]) for i in range(len(step.data)))
        else:
            yield step


def _all_at_once(script: Sequence[Step]) -> Script:
    speech = b"".join(step.data for step in script if isinstance(step, says))
    return (says(speech), *(step for step in script if not isinstance(step, says)))


def _with_tail(script: Script, *, behind_speech: bool) -> Script:
    relay = script[-1]
    assert isinstance(relay, asks)
    assert isinstance(relay.leftover, bytes)
    spoken = [number for number, step in enumerate(script) if isinstance(step, says)]
    place = spoken[-1] + 1 if spoken and behind_speech else len(script) - 1  # else it comes before the relay begins
    lines = list(script[:-1])
    if spoken and behind_speech:
        lines[place - 1] = says(lines[place - 1].data + TAIL)  # type: ignore[attr-defined]
    else:
        lines.insert(place, says(TAIL))
    return (*lines, relays(relay.leftover + TAIL))
