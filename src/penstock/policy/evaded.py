"""Routes that block addresses, while names that lead there go around them: routes know what is asked for alone."""

from collections.abc import Iterator

from penstock.config.plan import RoutePlan, WorkerPlan
from penstock.policy.access import EVERYWHERE
from penstock.policy.keys import network_of
from penstock.policy.private import is_private


def evaded(plan: WorkerPlan) -> Iterator[tuple[RoutePlan, str]]:
    """
    Yield routes that block a network which clients may reach by name, each with why, for the operator.

    Args:
        plan: Whose access rules may block the same, by every address of a name.
    """
    blocked = {each.host for rule in plan.rules if rule.action == "block" for each in rule.destinations}
    for route in plan.routes:
        if route.action != "block" or not _let_in(plan, route):
            continue
        open_to_names = [
            each.host
            for each in route.match.destinations
            if network_of(each.host) is not None
            and each.host not in (*EVERYWHERE, *blocked)
            and not (_strict(plan, route) and is_private(each.host.partition("/")[0]))
        ]
        if open_to_names:
            where = " and ".join(open_to_names)
            yield route, f"{where} as it is written only; an access rule holds for names that lead there, too"


def _let_in(plan: WorkerPlan, route: RoutePlan) -> bool:
    """Return whether a forward proxy takes the route."""
    ids = route.match.listeners
    return any(each.forward and (not ids or each.id in ids) for each in plan.listeners)


def _strict(plan: WorkerPlan, route: RoutePlan) -> bool:
    """Return whether nobody who takes the route may go to private addresses, by whatever name."""
    ids = route.match.listeners
    return not any(each.forward and each.allow_private and (not ids or each.id in ids) for each in plan.listeners)
