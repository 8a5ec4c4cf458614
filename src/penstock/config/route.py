"""What operators write of a route: what it takes, and what becomes of that."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from penstock.config.http_kinds import (
    BodyText,
    FieldName,
    FieldValue,
    Handler,
    HostText,
    Location,
    Prefix,
)
from penstock.config.kinds import Duration, FilePath, Name, Password, UserName, Whole
from penstock.config.limits import QuotaLimit
from penstock.config.match_kinds import Destination, Domain, Network, PathPattern, Ports
from penstock.config.plan import DestinationPlan
from penstock.config.table import OneOrMore, Table, known, written
from penstock.config.way import HealthCheck, Parent, Passive, RouteTimeouts, Target, TargetTls

PRIORITY = 1_000_000
"""Highest priority, and less nothing the lowest; room for whoever counts in thousands."""


class Match(Table):
    """What a connection or request must be; each key must match, and one of its values is enough."""

    domains: Annotated[list[Annotated[str, Domain()]], OneOrMore()] = Field(
        default=[], description='Host names, or "*." and a suffix.'
    )
    path: Annotated[list[Annotated[str, PathPattern()]], OneOrMore()] = Field(
        default=[], description='Paths, or beginnings with a final "*".'
    )
    clients: Annotated[list[Annotated[str, Network()]], OneOrMore()] = Field(
        default=[], description="Networks or addresses of clients."
    )
    users: Annotated[list[Annotated[str, UserName()]], OneOrMore()] = Field(
        default=[], description="Users of the listener."
    )
    ports: Annotated[list[Annotated[tuple[int, int], Ports()]], OneOrMore()] = Field(
        default=[], description='Ports that are asked for, or ranges such as "8000-8010".'
    )
    destinations: Annotated[list[Annotated[DestinationPlan, Destination()]], OneOrMore()] = Field(
        default=[], description="Where the client of a forward proxy wants to go."
    )
    tls_versions: Annotated[list[Literal["1.0", "1.1", "1.2", "1.3"]], OneOrMore()] = Field(
        default=[], description="The highest version that the client offers."
    )
    sni: bool | None = Field(default=None, description="Whether the client asks for a name in TLS.")


class Rewrite(Table):
    """Changes of requests and answers."""

    strip_prefix: Annotated[str, Prefix()] | None = Field(
        default=None, description="Beginning of the path that targets do not see."
    )
    add_prefix: Annotated[str, Prefix()] | None = Field(
        default=None, description="What the paths that they see begin with."
    )
    host: Annotated[str, HostText()] | None = Field(default=None, description="What they see as Host.")
    forwarded: Literal["x-forwarded", "forwarded", "both", "off"] = Field(
        default="x-forwarded", description="How they learn who asked: x-forwarded, forwarded (RFC 7239), both or off."
    )
    set_request: dict[Annotated[str, FieldName()], Annotated[str, FieldValue()]] = Field(
        default={}, description="Fields of requests that replace what is there."
    )
    set_response: dict[Annotated[str, FieldName()], Annotated[str, FieldValue()]] = Field(
        default={}, description="Fields of answers that replace what is there."
    )
    remove_request: Annotated[list[Annotated[str, FieldName()]], OneOrMore()] = Field(
        default=[], description="Fields of requests that go."
    )
    remove_response: Annotated[list[Annotated[str, FieldName()]], OneOrMore()] = Field(
        default=[], description="Fields of answers that go."
    )


class Route(Table):
    """What becomes of connections and requests; without a match, of all that no other route takes."""

    name: Annotated[str, Name()] = Field(description="What it is called in metrics and logs.", examples=["app"])
    listeners: list[Annotated[str, Name()]] = Field(
        default=[], description="Names of the listeners that it serves; all that it can serve."
    )
    priority: Annotated[int, Whole(-PRIORITY, PRIORITY)] = written(
        0, "Of several routes that match, the one with the highest is taken."
    )
    match: Match = Field(default=Match(), description="What it takes; all that no other route takes.")
    action: Literal["forward", "redirect", "answer", "block", "handler"] = Field(
        default="forward", description="What happens to a connection or request."
    )
    targets: list[Target] = Field(default=[], description="Where it sends.", examples=[["example.com:80"]])
    balance: Literal["round_robin", "least_connections", "source_hash", "random_two"] = Field(
        default="round_robin", description="Which target is next."
    )
    health_check: HealthCheck | None = Field(default=None, description="How targets are checked; not at all.")
    passive: Passive = Field(default=Passive(), description="When traffic itself takes a target out.")
    slow_start: Annotated[int, Duration("1s", "1h", off=True)] = written(
        "off", "Over how long a target that came up gets its whole share again."
    )
    tls: Literal["terminate", "passthrough", "terminate_and_reencrypt", "none"] | None = Field(
        default=None, description="What becomes of the TLS of a tls listener's clients; terminate."
    )
    target_tls: TargetTls | None = Field(default=None, description="How TLS is spoken with targets; in the clear.")
    send_proxy: Literal["off", "v1", "v2"] = Field(
        default="off", description="PROXY header that targets get before anything else."
    )
    parent: Parent | None = Field(default=None, description="Proxy on the way to where it sends; none.")
    location: Annotated[str, Location()] | None = Field(
        default=None, description="Where a redirect sends.", examples=["https://{host}{path}{query}"]
    )
    status: Annotated[int, Whole(200, 599)] | None = Field(
        default=None, description="Status of a redirect (302) or an answer (200)."
    )
    body: Annotated[str, BodyText()] | None = Field(default=None, description="What an answer says; nothing.")
    body_file: Annotated[str, FilePath()] | None = Field(default=None, description="File that holds it.")
    content_type: Annotated[str, FieldValue()] = written("text/plain; charset=utf-8", "Type of what an answer says.")
    rewrite: Rewrite = Field(default=Rewrite(), description="What is changed in requests and answers.")
    users: dict[Annotated[str, UserName()], Annotated[SecretStr, Password()]] = Field(
        default={}, description="Passwords by user, of whom requests must prove to be one; all may."
    )
    limits: QuotaLimit | None = Field(default=None, description="What all its connections together may have; no limit.")
    users_file: Annotated[str, FilePath()] | None = Field(
        default=None, description="File of more of them and their hashes.", examples=["users"]
    )
    handler: Annotated[str, Handler()] | None = Field(
        default=None, description="Function that decides, as module:function.", examples=["rules:decide"]
    )
    handler_timeout: Annotated[int, Duration("10ms", "1m")] = written("1s", "For one of its decisions.")
    timeouts: RouteTimeouts = Field(default=RouteTimeouts(), description="How long it waits here; as elsewhere.")


def is_own(route: Route) -> bool:
    """Return whether a route has nothing to match: it is then the own route of its listeners. A hole matches."""
    match = route.match
    return known(match) and not any(getattr(match, name) not in ([], None) for name in match.model_fields_set)
