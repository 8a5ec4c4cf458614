"""Which target a connection is sent to: the row and the target learn of it, and of how the dial went."""

from typing import TYPE_CHECKING

from penstock.base.bounds import DIAL_TARGETS
from penstock.connection.commands import DialError
from penstock.metrics.ledger import NO_TARGET, SCOPE, TARGET_SHIFT
from penstock.policy.balance import Standing

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

NOBODY = "every target of the route was taken out of service"
"""Why a dial fails that has nowhere to go."""


def aim_at(connection: "Connection", standing: Standing) -> None:
    """Send a connection to a target from now on."""
    words, scope = connection.worker.words, connection.row + SCOPE
    words[scope] = words[scope] & NO_TARGET | standing.plan.id << TARGET_SHIFT
    standing.open += 1
    connection.aimed = standing


def leave(connection: "Connection") -> None:
    """The target serves this connection no more; nothing happens to one that has none."""
    aimed, connection.aimed = connection.aimed, None
    if aimed is not None:
        aimed.open -= 1


def after_failure(connection: "Connection", error: DialError, detail: str) -> Standing | None:
    """
    Return whom else to dial, when a dial has failed and nothing was sent: a target that was not tried yet.

    Returns:
        None if there is no other one, `DIAL_TARGETS` were tried, or the client chose the destination.
    """
    failed = connection.aimed
    if failed is None:
        return None
    leave(connection)
    connection.route.failed(failed, error, detail)
    connection.tried += (failed,)
    if len(connection.tried) >= DIAL_TARGETS:
        return None
    return connection.route.other_target(connection.host, connection.tried)
