"""Quotas, as they are published: what routes and users may have in a month, and what they have had."""

from typing import NamedTuple

from msgspec import Struct


class QuotaFigures(NamedTuple):
    """
    One quota.

    Args:
        name: Whose.
        size: Bytes of a month.
        used: Bytes of the present month.
    """

    name: str
    size: int
    used: int


class QuotasView(Struct, frozen=True):
    """
    The quotas of a node.

    Args:
        routes: Of all routes that have one.
        users: Of those users that have series of their own.
        spent_routes, spent_users: How many of all have used theirs up.
    """

    routes: tuple[QuotaFigures, ...] = ()
    users: tuple[QuotaFigures, ...] = ()
    spent_routes: int = 0
    spent_users: int = 0
