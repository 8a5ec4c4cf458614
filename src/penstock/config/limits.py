"""What operators write of limits: how much clients, listeners, routes and users may have."""

from typing import Annotated, Literal

from pydantic import Field

from penstock.config.kinds import Bandwidth, Rate, Size, UserName, Whole
from penstock.config.match_kinds import Network
from penstock.config.table import OneOrMore, Table, written

CONNECTIONS = 10_000_000
"""Most that one node can be asked to hold; each takes two descriptors, and Linux's fs.nr_open is a million."""


class Limit(Table):
    """What all connections of one listener or route together may have."""

    connections: Annotated[int | str, Whole(1, CONNECTIONS, "off")] = written("off", "Open connections.")
    rate: Annotated[tuple[int, int, int] | None, Rate()] = written("off", "New connections, and of HTTP requests.")
    bandwidth: Annotated[tuple[int, int] | None, Bandwidth()] = written(
        "off", "Bytes a second in each direction, of all connections together."
    )
    bandwidth_per_connection: Annotated[tuple[int, int] | None, Bandwidth()] = written(
        "off", "Bytes a second in each direction, of each connection."
    )


class QuotaLimit(Limit):
    """What all connections of one route together may have, in a month as well."""

    quota: Annotated[int | None, Size()] = written("off", "Bytes in a month, both directions together.")
    quota_reset_day: Annotated[int, Whole(1, 28)] = written(1, "Day on which the month begins.")
    quota_action: Literal["stop", "throttle"] = Field(default="stop", description="What happens beyond the quota.")
    quota_throttle: Annotated[tuple[int, int] | None, Bandwidth()] = written(
        "64KiB/s", "What is left beyond the quota, with throttle."
    )


class UserLimit(QuotaLimit):
    """What one user may have."""

    name: Annotated[str, UserName()] = Field(description="The user.", examples=["ada"])


class Limits(Table):
    """How much the node takes, and one client of it."""

    connections: Annotated[int, Whole(1, CONNECTIONS)] = written(100_000, "Open connections of the whole node.")
    connections_per_ip: Annotated[int | str, Whole(1, CONNECTIONS, "off")] = written(
        100, "Open connections of one client address."
    )
    rate_per_ip: Annotated[tuple[int, int, int] | None, Rate()] = written(
        "300/1m", "New connections of one client address."
    )
    bandwidth_per_connection: Annotated[tuple[int, int] | None, Bandwidth()] = written(
        "off", "Bytes a second in each direction, of each connection of the node."
    )
    bandwidth_per_ip: Annotated[tuple[int, int] | None, Bandwidth()] = written(
        "off", "Bytes a second in each direction, of all connections of one client address."
    )
    exempt: Annotated[list[Annotated[str, Network()]], OneOrMore()] = Field(
        default=["127.0.0.0/8", "::1"], description="Networks whose clients are not limited by address."
    )
    connections_per_user: Annotated[int | str, Whole(1, CONNECTIONS, "off")] = written(
        "off", "Open connections of one user."
    )
    rate_per_user: Annotated[tuple[int, int, int] | None, Rate()] = written(
        "off", "New connections of one user, and of HTTP requests."
    )
    bandwidth_per_user: Annotated[tuple[int, int] | None, Bandwidth()] = written(
        "off", "Bytes a second in each direction, of all connections of one user."
    )
    quota_per_user: Annotated[int | None, Size()] = written(
        "off", "Bytes of one user in a month, both directions together."
    )
    quota_reset_day: Annotated[int, Whole(1, 28)] = written(1, "Day on which the month of quota_per_user begins.")
    quota_action: Literal["stop", "throttle"] = Field(
        default="stop", description="What happens to users beyond quota_per_user."
    )
    quota_throttle: Annotated[tuple[int, int] | None, Bandwidth()] = written(
        "64KiB/s", "What is left to them, with throttle."
    )
    users: list[UserLimit] = Field(default=[], description="What some users may have instead.")
