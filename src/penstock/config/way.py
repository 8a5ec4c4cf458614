"""What operators write of the way to targets: addresses, TLS with them, checks, and the proxy in between."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from penstock.base.addresses import Endpoint
from penstock.config.http_kinds import HostText, RequestPath, Statuses
from penstock.config.kinds import Duration, FilePath, Password, TargetAddress, UserName, Whole
from penstock.config.mistakes import Wrong
from penstock.config.table import OneOrMore, Table, written
from penstock.config.way_kinds import Protocol, ServerName, parse_parent

WEIGHT = 256
"""Largest weight of a target; HAProxy's is 256."""

CHECKS = 1_000
"""Most checks in a row that make a target up or down; a target that needs more is not checked at all."""

FAILURES = 10_000
"""Most failed dials in a row after which a target is taken out; 0 is never."""


class Target(Table):
    """An address that is sent to, with its share; text stands for the address alone."""

    address: Annotated[Endpoint, TargetAddress()] = Field(
        description="Name or IP address, and port.", examples=["example.com:80"]
    )
    weight: Annotated[int, Whole(1, WEIGHT)] = written(1, "Its share of the connections.")
    send_proxy: Literal["off", "v1", "v2"] | None = Field(
        default=None, description="PROXY header that it gets; what its route says."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"address": value}
        if not isinstance(value, dict):
            raise Wrong("a target is text or a table with address, weight and send_proxy", '"example.com:80"')
        return value


class RouteTimeouts(Table):
    """How long it waits on one route, where that is not how long it waits elsewhere."""

    connect: Annotated[int, Duration("10ms", "1h")] | None = Field(
        default=None, description="For one dial, as timeouts.connect, which is the default."
    )
    response: Annotated[int, Duration("10ms", "400d", off=True)] | None = Field(
        default=None, description="Without a byte until an answer of HTTP begins; idle."
    )
    idle: Annotated[int, Duration("1s", "400d", off=True)] | None = Field(
        default=None, description="Without a byte; timeouts.idle, and half_closed once one end has closed."
    )


class TargetTls(Table):
    """How TLS is spoken with targets, or with a parent."""

    verify: bool = Field(default=True, description="Whether their certificate must be right.")
    ca: Annotated[str, FilePath()] | None = Field(
        default=None, description="PEM file of who may issue it; those whom the system trusts."
    )
    server_name: Annotated[str, ServerName()] | None = Field(
        default=None, description="Whom we ask for; the target's own name."
    )
    alpn: Annotated[list[Annotated[str, Protocol()]], OneOrMore()] = Field(
        default=[], description="Application protocols that are offered."
    )
    cert: Annotated[str, FilePath()] | None = Field(
        default=None, description="PEM file of a certificate that we show where they ask for one."
    )
    key: Annotated[str, FilePath()] | None = Field(default=None, description="PEM file of its key; the same file.")


class HealthCheck(Table):
    """How targets are asked whether they are well."""

    kind: Literal["tcp", "http"] = Field(default="tcp", description="A connection, or a request.")
    path: Annotated[str, RequestPath()] | None = Field(default=None, description="Path of the request; /.")
    host: Annotated[str, HostText()] | None = Field(
        default=None, description="Host of the request; the target's address."
    )
    expect: Annotated[list[Annotated[tuple[int, int], Statuses()]], OneOrMore()] = Field(
        default=[(200, 399)], description='Statuses that are well; "200-399".'
    )
    interval: Annotated[int, Duration("100ms", "1h")] = written("5s", "Between two checks of one target.")
    timeout: Annotated[int, Duration("10ms", "1h")] = written("2s", "For one check.")
    rise: Annotated[int, Whole(1, CHECKS)] = written(2, "Good checks in a row that make a target up.")
    fall: Annotated[int, Whole(1, CHECKS)] = written(3, "Bad checks in a row that make it down.")


class Passive(Table):
    """How traffic itself takes targets out."""

    failures: Annotated[int, Whole(0, FAILURES)] = written(3, "Failed dials in a row; 0 for never.")
    ejection: Annotated[int, Duration("100ms", "1h")] = written(
        "10s", "For how long the first time; it doubles up to thirtyfold."
    )


class Parent(Table):
    """Another proxy on the way; text stands for kind, address and login."""

    kind: Literal["socks5", "http", "https"] = Field(
        description="socks5, http (CONNECT), or https, which is CONNECT through TLS.", examples=["socks5"]
    )
    address: Annotated[Endpoint, TargetAddress()] = Field(
        description="Name or IP address, and port.", examples=["proxy.example:1080"]
    )
    user: Annotated[str, UserName()] | None = Field(default=None, description="Who we are to it.")
    password: Annotated[SecretStr, Password()] | None = Field(default=None, description="And how we prove it.")
    tls: TargetTls = Field(default=TargetTls(), description="How TLS is spoken with an https parent.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return parse_parent(value)
        if not isinstance(value, dict):
            raise Wrong("a parent is text or a table with kind and address", '"socks5://proxy.example:1080"')
        return value
