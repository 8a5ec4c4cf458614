"""Quotas in a worker: which are used up, as the supervisor says, and what that means for connections that are open."""

from typing import TYPE_CHECKING

from penstock.base.outcomes import EndedBy, Outcome, Reason
from penstock.dataplane import orders
from penstock.dataplane.shaping import shape

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection
    from penstock.dataplane.worker import Worker


class Quotas:
    """
    What a worker does about quotas.

    Args:
        worker: Whose connections they are about.
    """

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._told: list[tuple[int, str]] = []

    def take(self, order: orders.Spent) -> None:
        """Learn which quotas are used up: end what has none left, and slow down or let go the rest."""
        if order.first:
            self._told.clear()
        self._told += order.keys
        if not order.last:
            return
        table = self._worker.entrance.table
        spent = frozenset(table.key(kind, name) for kind, name in self._told)
        self._told.clear()
        if spent != table.spent:
            table.spent = spent
            for connection in self._worker.connections():
                _apply(connection)


def _apply(connection: "Connection") -> None:
    places = connection.places
    if places is None:
        return
    for share in (places.route, places.user):
        if share is not None and share.stopped:
            connection.detail = f"the quota of {share.name} is used up"
            connection.end(Outcome(EndedBy.PROXY, connection.phase, Reason.QUOTA).pack())
            return
    if connection.shaped is not None:
        shape(connection, places.route, places.user, anew=True)
