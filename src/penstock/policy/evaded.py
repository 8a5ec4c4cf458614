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
    proxies = [each for each in plan.listeners if each.forward]
    for route in plan.routes:
        takers = [each for each in proxies if not route.match.listeners or each.id in route.match.listeners]
        if route.action != "block" or not takers:
            continue
        strict = not any(each.allow_private for each in takers)  # nobody goes to private addresses, by whatever name
        open_to_names = [
            each.host
            for each in route.match.destinations
            if network_of(each.host) is not None
            and each.host not in (*EVERYWHERE, *blocked)
            and not (strict and is_private(each.host.partition("/")[0]))
        ]
        if open_to_names:
            where = " and ".join(open_to_names)
            yield route, f"{where} as it is written only; an access rule holds for names that lead there, too"
