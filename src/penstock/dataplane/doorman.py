"""The access step of the entrance: whom a listener's rules keep out before anything of it is read."""

from collections.abc import Iterable
from time import struct_time
from typing import TYPE_CHECKING

from penstock.config.plan import AccessRulePlan
from penstock.dataplane.entrance import REFUSE_ACCESS
from penstock.dataplane.equipment import Equipment
from penstock.policy.access import Access
from penstock.policy.ranges import NOT_AN_ADDRESS

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker


KNOWN = 4_096
"""Clients whose rules a worker remembers for a minute, since most of them come again."""


class Doorman:
    """
    Rules by listener.

    Args:
        worker: Knows which minute of the week it is, and owns the entrance.
        equipment: Of all listeners.
    """

    __slots__ = ("_access", "_known", "_minute", "_worker")

    def __init__(self, worker: "Worker", equipment: Iterable[Equipment]) -> None:
        self._worker, self._minute = worker, -1
        self._known: dict[tuple[bytes, int], AccessRulePlan | None] = {}
        self._access: dict[int, Access] = {each.plan.id: each.access for each in equipment if each.access.early}

    def __bool__(self) -> bool:
        return bool(self._access)

    def __call__(self, ip: bytes, listener: int, now: int) -> int:
        """Return 0, or the outcome that refuses; see `entrance.Access`."""
        access = self._access.get(listener)
        if access is None:
            return 0
        worker = self._worker
        if worker.minute != self._minute or len(self._known) >= KNOWN:
            self._known.clear()
            self._minute = worker.minute
        try:
            rule = self._known[ip, listener]
        except KeyError:
            rule = access.entering(int.from_bytes(ip) or NOT_AN_ADDRESS, worker.minute)
            self._known[ip, listener] = rule
        if rule is None:
            return 0
        worker.entrance.why = f"access rule {rule.name} blocks it"
        return REFUSE_ACCESS


def minute_of_week(now: struct_time) -> int:
    """Return how many minutes have gone by since Monday's midnight."""
    return (now.tm_wday * 24 + now.tm_hour) * 60 + now.tm_min
