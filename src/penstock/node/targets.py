"""Targets at the admin door: how they are, and what an operator may want of one."""

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from penstock.config.way import WEIGHT
from penstock.metrics.snapshot import TargetView
from penstock.node.problems import Problem
from penstock.policy.health import TargetOrder


class WantedTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What is wanted of a target. What is left out stays as it is.

    Args:
        state: `ready`; `drain` lets what is open run dry, and `maint` ends the checks, too. It outlives checks.
        weight: Instead of the configured one.
    """

    state: TargetOrder | None = None
    weight: int | None = None


def parse_order(body: bytes) -> WantedTarget:
    """
    Return what is wanted.

    Args:
        body: JSON.

    Raises:
        Problem: 400, with what is wrong.
    """
    try:
        wanted = msgspec.json.decode(body, type=WantedTarget)
    except msgspec.DecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    if wanted.state is None and wanted.weight is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "state, weight or both are needed")
    if wanted.weight is not None and not 1 <= wanted.weight <= WEIGHT:
        raise Problem(HTTPStatus.BAD_REQUEST, f"a weight is a number from 1 to {WEIGHT}; state drain stands for none")
    return wanted


def listed(views: Iterable[TargetView], route: str | None) -> list[TargetView]:
    """
    Return targets.

    Args:
        views: All of them.
        route: Name of the only route that counts; None for every one.

    Raises:
        Problem: 404, if the route has none.
    """
    found = [each for each in views if route in (None, each.route)]
    if route is not None and not found:
        raise Problem(HTTPStatus.NOT_FOUND, f"no route {route!r} has targets")
    return found


def one(views: Iterable[TargetView], route: str, address: str) -> TargetView:
    """
    Return a target.

    Raises:
        Problem: 404, if there is none of this address.
    """
    views = list(views)
    found = next((each for each in views if (each.route, each.address) == (route, address)), None)
    if found is None:
        near = ", ".join(each.address for each in listed(views, route)[:20])
        raise Problem(HTTPStatus.NOT_FOUND, f"route {route!r} has no target {address!r}; it has: {near}")
    return found
