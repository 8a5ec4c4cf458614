"""
Numbers that outlive a reload: whatever keeps its name keeps its id, so what was counted for it stays its own.

A number is never given to another name as long as the process runs: rows, samples and records that name it would be
somebody else's. Who comes back gets its own number again.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from penstock.base.errors import ConfigurationError
from penstock.config.plan import NodePlan, RoutePlan, TargetPlan

LAST = 65_535
"""Of each kind: ids have 16 bits in the ledger."""

Name = TypeVar("Name", bound=Hashable)

TargetName = tuple[str, str, int]
"""Route, address, and number among the targets with the same of both."""


class Numbers(NamedTuple):
    """
    The number of each name that a process has served so far.

    Args:
        listeners, routes: By name.
        targets: By route, address and number among those of the same route and address.
    """

    listeners: Mapping[str, int] = MappingProxyType({})
    routes: Mapping[str, int] = MappingProxyType({})
    targets: Mapping[TargetName, int] = MappingProxyType({})


class Renumbered(NamedTuple):
    """
    A plan with the numbers of this process.

    Args:
        plan: The same plan under them.
        numbers: Of all names, those of this plan included.
    """

    plan: NodePlan
    numbers: Numbers


def renumber(plan: NodePlan, numbers: Numbers) -> Renumbered:
    """
    Return a plan with numbers that no other name of this process has had.

    Args:
        plan: With any numbers that are unique in it.
        numbers: Of all names so far.

    Raises:
        ConfigurationError: If more than LAST names of a kind have been served: only a restart makes room.
    """
    worker = plan.worker
    routes = [*(each.route for each in worker.listeners), *worker.routes]
    targets = target_names(routes)
    given = Numbers(
        _extended(numbers.listeners, (each.name for each in worker.listeners), "listeners"),
        _extended(numbers.routes, (each.name for each in routes), "routes"),
        _extended(numbers.targets, targets.values(), "targets"),
    )
    new_targets = {number: given.targets[name] for number, name in targets.items()}
    new_listeners = {each.id: given.listeners[each.name] for each in worker.listeners}

    def renumbered(route: RoutePlan) -> RoutePlan:
        match = replace(route.match, listeners=tuple(new_listeners[each] for each in route.match.listeners))
        aims = tuple(replace(each, id=new_targets[each.id]) for each in route.targets)
        return replace(route, id=given.routes[route.name], match=match, targets=aims)

    listeners = tuple(
        replace(each, id=given.listeners[each.name], route=renumbered(each.route)) for each in worker.listeners
    )
    matched = tuple(renumbered(each) for each in worker.routes)
    rules = tuple(
        replace(rule, listeners=tuple(new_listeners[each] for each in rule.listeners)) for rule in worker.rules
    )
    return Renumbered(replace(plan, worker=replace(worker, listeners=listeners, routes=matched, rules=rules)), given)


def numbers_of(plan: NodePlan) -> Numbers:
    """Return the numbers that a plan gives to its own names; a process begins with them."""
    routes = [*(each.route for each in plan.worker.listeners), *plan.worker.routes]
    return Numbers(
        MappingProxyType({each.name: each.id for each in plan.worker.listeners}),
        MappingProxyType({each.name: each.id for each in routes}),
        MappingProxyType({name: number for number, name in target_names(routes).items()}),
    )


def target_names(routes: Iterable[RoutePlan]) -> dict[int, TargetName]:
    """Return the name of each target by its number; two of one route with the same address are told apart by order."""
    seen: Counter[tuple[str, str]] = Counter()
    names: dict[int, TargetName] = {}
    for route, target in _targets(routes):
        if target.id not in names:
            key = route.name, str(target)
            names[target.id] = (*key, seen[key])
            seen[key] += 1
    return names


def _targets(routes: Iterable[RoutePlan]) -> Iterator[tuple[RoutePlan, TargetPlan]]:
    return ((route, target) for route in routes for target in route.targets)


def _extended(known: Mapping[Name, int], names: Iterable[Name], what: str) -> Mapping[Name, int]:
    found = dict(known)
    highest = max(known.values(), default=0)
    for name in names:
        if name not in found:
            highest += 1
            found[name] = highest
    if highest > LAST:
        raise ConfigurationError([f"{what}: this process has served {LAST:,} names; a restart makes room for more"])
    return MappingProxyType(found)
