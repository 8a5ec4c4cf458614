"""What operators may write about bans: who is found out by what, for how long, and who never is."""

from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.config.kinds import Duration, FilePath, Kind, Whole, is_text
from penstock.config.match_kinds import Network
from penstock.config.mistakes import Wrong, printable
from penstock.config.table import OneOrMore, Table, written

EVENTS = 1_000_000
"""Most events that a detector waits for; at a hundred thousand connections a second ten seconds of one client."""

Events = Annotated[int | str, Whole(2, EVENTS, "off")]
Window = Annotated[int, Duration("1s", "1d")]
Length = Annotated[int, Duration("1s", "400d")]

THRESHOLD, WINDOW, DURATION = "How many are too many; off for none.", "In how long.", "How long the first ban lasts."


REASON_CHARACTERS = 200
"""Longest reason; a line of a log holds it beside the rest."""


class Words(Kind):
    """A reason in words: one line of text."""

    def parse(self, value: Any) -> str:
        """Return the text."""
        if not is_text(value) or not value or len(value) > REASON_CHARACTERS or printable(value) != value:
            raise Wrong(f"a reason is one line of 1 to {REASON_CHARACTERS} characters")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1, "maxLength": REASON_CHARACTERS}


class FailedLogins(Table):
    """Connections that ended because a login was wrong."""

    threshold: Events = written(10, THRESHOLD)
    window: Window = written("10m", WINDOW)
    duration: Length = written("10m", DURATION)


class RefusedDestinations(Table):
    """Connections that were refused because of where they wanted to go."""

    threshold: Events = written(100, THRESHOLD)
    window: Window = written("10m", WINDOW)
    duration: Length = written("10m", DURATION)


class Floods(Table):
    """Connections beyond a limit, and connections altogether."""

    threshold: Events = written(600, THRESHOLD + " Of refusals by a limit.")
    connections: Events = written("off", THRESHOLD + " Of connections, served or not.")
    window: Window = written("1m", WINDOW)
    duration: Length = written("10m", DURATION)


class PortWalks(Table):
    """Listeners of this node that one client came to without doing anything useful."""

    threshold: Events = written(8, THRESHOLD)
    window: Window = written("1m", WINDOW)
    duration: Length = written("1h", DURATION)


class ProtocolAbuse(Table):
    """Connections that broke the protocol, or never finished their handshake."""

    threshold: Events = written(100, THRESHOLD)
    window: Window = written("10m", WINDOW)
    duration: Length = written("10m", DURATION)


class Bans(Table):
    """Who is banned by itself, and who never."""

    detect: Literal["off", "shadow", "on"] = Field(
        default="shadow", description="Whether detectors ban: not at all, only in the log and the metrics, or really."
    )
    protect: Annotated[list[Annotated[str, Network()]], OneOrMore()] = Field(
        default=[], description="Networks that nobody may ban."
    )
    protect_loopback: bool = Field(
        default=True, description="Whether nobody may ban this machine's own clients on loopback."
    )
    ipv6_networks: bool = Field(
        default=True, description="Whether detectors take all IPv6 addresses that share 64 bits for one client."
    )
    longest: Length = written("24h", "Each further offence is banned twice as long, up to this.")
    remember: Length = written("7d", "After so long without an offence a client's next one is its first.")
    failed_logins: FailedLogins = Field(default=FailedLogins(), description="Logins that were wrong.")
    refused_destinations: RefusedDestinations = Field(
        default=RefusedDestinations(), description="Destinations that were refused."
    )
    floods: Floods = Field(default=Floods(), description="Connections beyond limits, or too many of them.")
    port_walks: PortWalks = Field(default=PortWalks(), description="One client at many listeners.")
    protocol_abuse: ProtocolAbuse = Field(default=ProtocolAbuse(), description="Broken protocols and handshakes.")


class Blocklist(Table):
    """A file of networks that are banned for good: one a line, comments behind # or ;."""

    file: Annotated[str, FilePath()] = Field(description="Where it lies.", examples=["/etc/penstock/blocked.txt"])
    reason: Annotated[str, Words()] = written("listed", "Why, for people.")
