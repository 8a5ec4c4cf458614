"""What access rules mean together, and with listeners."""

from collections.abc import Iterator, Sequence

from penstock.config.access import Access
from penstock.config.mistakes import Key, Mistake
from penstock.config.serving import Service
from penstock.config.table import known
from penstock.config.translate import near

ACCESS_RULES = 10_000
"""Most of a node: as many as a list of networks in a firewall's file has. For millions there are block lists."""


def access_mistakes(rules: Sequence[Access], served: Sequence[Service]) -> Iterator[Mistake]:
    """
    Yield what is wrong between access rules, and between them and listeners.

    Args:
        rules: May have holes.
        served: All listeners; may have holes.
    """
    if len(rules) > ACCESS_RULES:
        yield Mistake(("access",), f"{len(rules)} of them; a node takes at most {ACCESS_RULES}", present=False)
        return
    first: dict[str, int] = {}
    for number, rule in enumerate(rules):
        if known(rule.name) and rule.name and first.setdefault(rule.name, number) != number:
            yield Mistake(("access", number, "name"), f"is the name of access rule {first[rule.name] + 1} too")
        if known(rule.listeners):
            yield from _for_nobody(("access", number), rule, served)


def _for_nobody(key: Key, rule: Access, served: Sequence[Service]) -> Iterator[Mistake]:
    """Yield the listeners that there are not, and the keys that none of its listeners has a use for."""
    by_name = {service.name: service for service in served}
    missing = [(place, name) for place, name in enumerate(rule.listeners) if name not in by_name]
    for place, name in missing if "" not in by_name else ():
        match = near(name, by_name)
        yield Mistake((*key, "listeners", place), "there is no such listener", f'"{match}"' if match else "")
    kinds = (
        [by_name[name].speaks for name in rule.listeners if name in by_name]
        if rule.listeners
        else [service.speaks for service in served]
    )
    if missing or None in kinds:
        return
    if rule.destinations and known(rule.destinations) and not any(each.asks for each in kinds if each):
        yield Mistake((*key, "destinations"), "the clients of none of its listeners say where they go")
    if rule.users and known(rule.users) and not any(each.logins or each.web for each in kinds if each):
        yield Mistake((*key, "users"), "none of its listeners asks anybody who they are")


def rule_names(rules: Sequence[Access]) -> list[str]:
    """Return what each rule is called: its own name, or one that no other has, such as `access-1`."""
    taken = {rule.name for rule in rules if rule.name}
    names = []
    for number, rule in enumerate(rules, 1):
        name = rule.name or f"access-{number}"
        while not rule.name and name in taken:
            name += "-"
        taken.add(name)
        names.append(name)
    return names
