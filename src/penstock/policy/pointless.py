"""
Access rules that never count, found before somebody relies on them.

What is said is true: a rule that is named never counts. It is not all that could be said: a rule that several others
take everything from together is not found.
"""

from collections.abc import Sequence

from penstock.config.plan import AccessRulePlan, ListenerPlan, MatchPlan, RoutePlan, WorkerPlan
from penstock.policy.access import Access, names
from penstock.policy.ranges import address_number, contains
from penstock.policy.unreachable import covers, empty, example

TOLD = 3
"""Users that are named."""

_WEEK = ((0, 7 * 24 * 60 - 1),)


def pointless(rules: Sequence[AccessRulePlan], plan: WorkerPlan | None = None) -> list[tuple[AccessRulePlan, str]]:
    """
    Return the rules that never count, each with why, for the operator.

    Args:
        rules: In the order of the configuration.
        plan: Whose rules they are; None where nobody knows.

    Cost: each rule is compared with those only that match one example of what it matches.
    """
    found = [(rule, why) for rule in rules if (why := empty(_match(rule)) or (_nobody(rule, plan) if plan else ""))]
    never = {rule.name for rule, _ in found}
    rules = [rule for rule in rules if rule.name not in never]
    everywhere = Access([_anywhere(rule) for rule in rules], 0, 0, asks=True)
    by_name = {rule.name: rule for rule in rules}
    for rule in rules:
        match = _match(rule)
        facts = example(match)
        minute = rule.times[0][0] if rule.times else 0
        for each in everywhere.matching(facts, address_number(facts.client), minute):
            if each.name == rule.name:
                break
            rival = by_name[each.name]
            if rule.action == rival.action == "allow" and names(rule):
                continue  # it still says that its destinations may be private
            if _covers(rival, rule):
                found.append((rule, f"rule {rival.name}, which {_why(rival, rule)}, decides all that it matches"))
                break
    if not any(rule.action == "block" for rule in rules):
        found += [(rule, "nothing is blocked, so there is nothing to allow") for rule in rules if not names(rule)]
    return found


def _nobody(rule: AccessRulePlan, plan: WorkerPlan) -> str:
    """Return why a rule matches nobody of a plan, or nothing."""
    mine = [each for each in plan.listeners if not rule.listeners or each.id in rule.listeners]
    if rule.ports and not any(each.forward or each.port == 0 or _within(rule, each.port) for each in mine):
        return "none of its listeners is at one of its ports, and their clients ask for no others"
    holders: list[ListenerPlan | RoutePlan] = [*mine, *(each.route for each in mine), *plan.routes]
    if any(each.users_file for each in holders):  # who may have anybody tomorrow
        return ""
    if rule.users and not any(user in each.users for each in holders for user in rule.users):
        return f"no user of its listeners is called {' or '.join(rule.users[:TOLD])}"
    return ""


def _within(rule: AccessRulePlan, port: int) -> bool:
    return any(first <= port <= last for first, last in rule.ports)


def _why(rival: AccessRulePlan, rule: AccessRulePlan) -> str:
    if rival.priority != rule.priority:
        return "has a higher priority"
    return "stands before it" if rival.action == rule.action else "blocks at the same priority"


def _anywhere(rule: AccessRulePlan) -> AccessRulePlan:
    """Return a rule for all listeners: which ones it is for is compared afterwards."""
    return AccessRulePlan(**{name: getattr(rule, name) for name in rule.__struct_fields__ if name != "listeners"})


def _match(rule: AccessRulePlan) -> MatchPlan:
    return MatchPlan(
        listeners=rule.listeners,
        clients=rule.clients,
        users=rule.users,
        ports=rule.ports,
        destinations=rule.destinations,
    )


def _covers(rival: AccessRulePlan, rule: AccessRulePlan) -> bool:
    return contains(rival.times or _WEEK, rule.times or _WEEK) and covers(_match(rival), _match(rule))
