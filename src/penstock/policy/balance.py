"""Which target gets the next connection."""

from collections.abc import Iterator, Sequence

from penstock.config.plan import TargetPlan


def round_robin(targets: Sequence[TargetPlan]) -> Iterator[TargetPlan]:
    """
    Yield targets for ever, each in proportion to its weight and as evenly spread as the weights allow.

    Each turn every target gains its weight in credit, and the richest is picked and pays the sum (the smooth weighted
    round-robin that nginx uses: weights 5, 1, 1 give a a b a c a a, not five in a row).

    Args:
        targets: At least one.
    """
    if len({target.weight for target in targets}) == 1:
        while True:
            yield from targets
    credit = [0] * len(targets)
    total = sum(target.weight for target in targets)
    while True:
        for index, target in enumerate(targets):
            credit[index] += target.weight
        best = max(range(len(targets)), key=credit.__getitem__)
        credit[best] -= total
        yield targets[best]
