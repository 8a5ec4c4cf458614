"""How a target is, as it is published beside its totals."""

from typing import NamedTuple


class Condition(NamedTuple):
    """
    How a target is.

    Args:
        state: `up`, `down`, `ejected`, `drain` or `maint`; `gone` once a reload has taken it away.
        why: What brought it there; empty since the start.
        since: RFC 3339, UTC; empty for always.
        weight: That it has now, in units of the configured ones; less than its own while it starts slowly.
        passed, failed: Checks, by their results.
        ejections: How often failed dials have taken it out.
    """

    state: str = "up"
    why: str = ""
    since: str = ""
    weight: float = 1.0
    passed: int = 0
    failed: int = 0
    ejections: int = 0


WELL = Condition()
"""Of a target that nobody has said anything about."""

GONE = Condition(state="gone", weight=0.0)
"""Of one that no plan names any more, and that still serves connections."""
