"""What a process that is succeeded knows of its targets: orders of operators, who is down, and counts."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from penstock.metrics.conditions import Condition
from penstock.policy.health import Remembered


class SavedTarget(Struct, frozen=True):
    """
    A target. It is found again by its names, as operators find it.

    Args:
        route: Name of its route.
        address: `host:port`, as configured.
        known: What outlives the process.
        passed, failed, ejections: Counts until now.
    """

    route: str
    address: str
    known: Remembered
    passed: int = 0
    failed: int = 0
    ejections: int = 0


def resumed(saved: SavedTarget, ours: Condition) -> Condition:
    """Return the counts of both processes, and all else as it is here."""
    return ours._replace(
        passed=ours.passed + saved.passed,
        failed=ours.failed + saved.failed,
        ejections=ours.ejections + saved.ejections,
    )


def found_again(
    saved: tuple[SavedTarget, ...], names: Mapping[int, tuple[str, str]]
) -> Iterator[tuple[int, SavedTarget]]:
    """
    Yield each target that is still served, by its id, with what was said of it.

    Args:
        saved: By an older process. Several of one name are those of several listeners, in their order.
        names: Route and address, by id.
    """
    ids: dict[tuple[str, str], list[int]] = {}
    for number, name in names.items():
        ids.setdefault(name, []).append(number)
    for each in saved:
        left = ids.get((each.route, each.address))
        if left:
            yield left.pop(0), each
