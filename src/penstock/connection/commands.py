"""
What a conversation says to the engine, and what it is told.

A conversation is a generator: it yields a command, is resumed with the answer, and never touches a socket. The engine
holds what the client sent early, so that the same bytes in any split give the same conversation.

Rules:
- `Need`, `Until` and `Peek` are answered with bytes. If the client closes first, `ClientClosed` is thrown in; if the
  deadline passes, `DeadlinePassed`; if `Until` finds no end in its limit, `TooLong`. A conversation that does not
  catch them ends with the outcome that they stand for. A conversation that waits for the head of a request
  (connection/http.py) may hear `NewPlan`, and waits anew.
- `Dial` and `DialAny` are answered with `Dialed`, or `DialFailed` is thrown in.
- The phase, which decides the outcome of a connection that ends by itself, follows the commands: `Peek` detects,
  `Need` and `Until` negotiate, `Dial` dials, `Relay` and `Exchange` relay.
- `Relay`, `Datagrams` and `Close` are the last words; the generator is closed after either. After `Relay` it is resumed
  with None before, so that it may return: whatever else it says then, nobody hears.
- `Answer` is a `Send` that ends a request, which is then counted. An `Exchange` that answers counts itself.
- An `Exchange` is answered with whether the client may send another request.
"""

from collections.abc import Callable, Generator
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from penstock.base.outcomes import Outcome, Reason
from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.policy import actions
from penstock.policy.routes import Ruleset


class Challenges(Protocol):
    """ACME challenges that are under way."""

    def key_authorization(self, token: str) -> str:
        """Return what answers a token of http-01; empty if nobody waits for it."""

    def has_certificate(self, name: str) -> bool:
        """Return whether a name is being proved by tls-alpn-01."""


class Facts(NamedTuple):
    """
    What is known of a connection when it is accepted.

    Args:
        client_host: IP address of the client, IPv4-mapped folded; `-` on a Unix socket.
        client_port: Its port; 0 on a Unix socket.
        rules: What decides the route; None where the listener has but one.
        server_name: Name that the client asked for in TLS, lower-case; empty for none, or without TLS.
        tls_version: Highest version that it offers, such as 0x0304; 0 without TLS.
        trusted: Whether it is a proxy whose word on its own clients is believed.
        challenges: What the listener may be asked to prove; None where it proves nothing.
    """

    client_host: str
    client_port: int
    rules: Ruleset | None = None
    server_name: str = ""
    tls_version: int = 0
    trusted: bool = False
    challenges: Challenges | None = None


class Need(Struct, frozen=True):
    """Answer me exactly `count` bytes and take them."""

    count: int


class Until(Struct, frozen=True):
    """Answer me all bytes up to and with `delimiter` and take them; `TooLong` if there is none within `limit` bytes."""

    delimiter: bytes
    limit: int


class Peek(Struct, frozen=True):
    """Answer me what is there, at least `count` bytes, and take nothing."""

    count: int


class Send(Struct, frozen=True):
    """Send these bytes to the client. Answered with None at once; the engine keeps what the socket does not take."""

    data: bytes


class Answer(Send, frozen=True):
    """
    Send the answer to a request of the client's: with it the request is over, and is counted once.

    Args:
        status: Its status code; 0 where the protocol has none that is a number of three digits.
        timed: Whether the request had come whole, so that it is known how long the answer took.
        reason: Why it is a refusal; None if it is none.
    """

    status: int = 0
    timed: bool = True
    reason: Reason | None = None


REACHED = Answer(b"", timed=False)
"""The answer to a client that has asked by connecting: its target was reached, and there is no word to say it in."""


class Dial(Struct, frozen=True):
    """
    Connect to this destination, which the client chose.

    Args:
        host: Name or IP address.
        port: 1 to 65535.
    """

    host: str
    port: int


class Take(Struct, frozen=True):
    """From now on this connection takes another route than its listener's own. Answered with None at once."""

    route: RoutePlan


class Decide(Struct, frozen=True):
    """
    Ask the handler of a route. Answered with what it wants, checked (connection/deciding.py), or `Undecided`.

    Args:
        route: Whose handler.
        facts: What it is told.
        answers: Whether it may answer in a target's place.
    """

    route: RoutePlan
    facts: actions.Facts
    answers: bool = False


class Secure(Struct, frozen=True):
    """
    Terminate the client's TLS. What was peeked at until now was its hello. Answered with None when both agree.

    Args:
        proves: The name that is proved to an ACME server by this handshake (RFC 8737); empty for an ordinary one.
    """

    proves: str = ""


class DialAny(Struct, frozen=True):
    """Connect to the next of the route's targets; the others are tried before it fails. Answered with `Dialed`."""


class RelayAny(Struct, frozen=True):
    """
    Connect to the next of the route's targets and relay: all that is left to do where the client is told nothing.

    A last word. The client has asked by connecting, and is answered when a target is reached; when none can be, the
    connection ends as the dial has.
    """


class Relay(Struct, frozen=True):
    """Move bytes both ways until both ends are done. What the client sent early goes first."""


class Bind(Struct, frozen=True):
    """
    Listen for one connection from `host` (SOCKS BIND, RFC 1928 section 4). Answered with `Bound`, then yield `Await`.

    Args:
        host: The only address that may connect; `0.0.0.0` or `::` for any.
        port: Port that the client announced; not checked, as RFC 1928 lets a client not know it.
    """

    host: str
    port: int


class Await(Struct, frozen=True):
    """Wait for the connection that `Bind` listens for. Answered with `Dialed`: whose address it is."""


class Associate(Struct, frozen=True):
    """
    Open a UDP association (RFC 1928 section 7). Answered with `Bound`; then yield `Datagrams`.

    Args:
        host: Address that the client says it will send from; `0.0.0.0` or `::` if it does not know.
        port: Port that it says it will send from; 0 if it does not know.
        permits: Whether a datagram may go to this host and port; None for all.
    """

    host: str
    port: int
    permits: Callable[[str, int], bool] | None = None


class Datagrams(Struct, frozen=True):
    """Carry datagrams until the client closes the TCP connection. A last word, like `Relay`."""


class Exchange(Struct, frozen=True):
    """
    Carry one HTTP exchange with a target connection, pooled or new, and answer whether the client may go on (bool).
    `DialFailed` is thrown in while nothing has been sent to the client.

    Args:
        host: Destination; empty for one of the route's targets.
        port: Destination.
        head: Request head as the target shall get it.
        framing: How the request's body ends (protocols.http1.framing).
        method: Of the request; it decides how the response ends.
        keep_alive: Whether the client would send another request on this connection.
        http_1_0: Whether the client speaks HTTP/1.0 and cannot take a chunked body.
        retriable: Whether it may be sent again if a pooled connection dies without an answer (RFC 9110 section 9.2.2).
        upgrade: Whether it asks to change protocols. If the target does, the exchange becomes a relay and a last word.
    """

    host: str
    port: int
    head: bytes
    framing: Any
    method: bytes
    keep_alive: bool
    http_1_0: bool
    retriable: bool
    upgrade: bool = False


class Describe(Struct, frozen=True):
    """Tell the ledger who this is and where it wants to go: `user` and `destination` as text, empty for unknown."""

    destination: str = ""
    user: str = ""


class Verified(StrEnum):
    """What is said of a login."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


class Verify(Struct, frozen=True):
    """
    Ask whether a login is right. Answered with `Verified`; BUSY if too many wait, or none could tell in time.

    Args:
        users_file: Path of the file that says so; empty if it is known.
        user, password: As the client sent them; UTF-8. Never logged.
        known: What is known, RIGHT or WRONG: the answer, as late as an address with failures is heard; None if only the
            file can tell.
    """

    users_file: str
    user: bytes
    password: bytes
    known: Verified | None = None

    def __repr__(self) -> str:
        return f"Verify({self.users_file!r}, {self.user!r})"


class Login(Struct, frozen=True):
    """
    Tell the ledger that the client tried to log in. Answered with None at once.

    A client that shows nothing has not tried. One that shows the same right login again and again, as HTTP wants it
    with each request, has tried once.

    Args:
        right: Whether it may.
    """

    right: bool


class TurnAway(Struct, frozen=True):
    """
    Tell the ledger that a request was refused whose connection goes on. Answered with None at once.

    Args:
        outcome: What the connection would have ended with.
    """

    outcome: Outcome


RIGHT_LOGIN, WRONG_LOGIN = Login(True), Login(False)


class Close(Struct, frozen=True):
    """
    End the connection, after what was sent has gone out.

    Args:
        outcome: The word that it ends with.
        detail: One line for the log; empty for none.
    """

    outcome: Outcome
    detail: str = ""


Command = (
    Need | Until | Peek | Send | Answer | Take | Decide | Secure | Dial | DialAny | RelayAny | Relay | Bind | Await
    | Associate | Datagrams | Exchange | Describe | Verify | Login | TurnAway | Close
)  # fmt: skip

Conversation = Generator[Command, Any, None]


class Dialed(NamedTuple):
    """
    A connection stands.

    Args:
        local_host, local_port: Our end of it.
        remote_host, remote_port: The other end.
    """

    local_host: str
    local_port: int
    remote_host: str
    remote_port: int


class Way(NamedTuple):
    """
    Where a handler sends.

    Args:
        route: Taken on the way; the handler's own where it named an address.
        host, port: The address; empty and 0 for one of the route's targets.
    """

    route: RoutePlan
    host: str = ""
    port: int = 0


class Undecided(NamedTuple):
    """A handler has given no answer that can be used; `why` is for the log."""

    why: str


Verdict = tuple[Way, ...] | actions.Redirect | actions.Answer | actions.Block
"""What a handler wants; ways are tried in turn, and without any the route's own targets are meant."""


class Bound(NamedTuple):
    """A socket listens or takes datagrams at this address."""

    host: str
    port: int


class DialError(StrEnum):
    """Why a dial failed; protocols map it to their reply codes."""

    REFUSED = "connection refused"
    NETWORK_UNREACHABLE = "network unreachable"
    HOST_UNREACHABLE = "host unreachable"
    TIMEOUT = "timed out"
    UNRESOLVED = "name not resolved"
    LOOP = "destination is this proxy itself"
    RESOURCE = "out of descriptors or ports"
    NO_TARGET = "no target in service"
    DENIED = "not allowed"
    FORBIDDEN = "destination not allowed"
    ROUTE_FULL = "too many connections"
    ROUTE_BUSY = "too many requests"
    USER_FULL = "too many connections of this user"
    USER_BUSY = "too many requests of this user"
    SPENT = "the quota is used up"
    FAILED = "failed"


class DialFailed(Exception):  # noqa: N818 - it is news, not an error of ours
    """
    The dial failed on every address.

    Args:
        error: Of the address that came furthest.
        detail: For the log, such as the system's own message.
        wait: After which time it may be tried again; unit s, 0 for nobody knows.
    """

    def __init__(self, error: DialError, detail: str = "", wait: int = 0) -> None:
        super().__init__(detail or str(error))
        self.error, self.wait = error, wait


class NewPlan(Exception):  # noqa: N818 - it is news, not an error of ours
    """
    The node has taken another plan, in which this listener still speaks the same: the next request begins in it.

    Thrown into a conversation that waits for the head of a request, before it is answered.

    Args:
        rules: As in `Facts`, of the new plan.
        listener: Of the new plan; the engine takes its own route.
    """

    def __init__(self, rules: Ruleset | None, listener: ListenerPlan) -> None:
        super().__init__("another plan")
        self.rules, self.listener = rules, listener


class ClientClosed(Exception):  # noqa: N818 - it is news, not an error of ours
    """
    The client closed before it had said what was needed.

    Args:
        pending: Bytes that it had said of it; 0 between two requests.
    """

    def __init__(self, pending: int = 0) -> None:
        super().__init__("the client closed early")
        self.pending = pending


class DeadlinePassed(Exception):  # noqa: N818 - it is news, not an error of ours
    """
    The phase's deadline passed.

    Args:
        pending: Bytes that the client had said of what was needed.
    """

    def __init__(self, pending: int = 0) -> None:
        super().__init__("the client was too slow")
        self.pending = pending


class TooLong(Exception):  # noqa: N818 - it is news, not an error of ours
    """`Until` found no delimiter within its limit."""
