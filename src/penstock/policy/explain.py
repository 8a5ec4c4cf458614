"""Why a connection takes its route, and why it takes no other: each route asked by itself, one key after the other."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.config.plan import DestinationPlan, MatchPlan, RoutePlan
from penstock.policy import hosts, paths
from penstock.policy.facts import Decision, RouteFacts
from penstock.policy.keys import network_of
from penstock.policy.ranges import NOT_AN_ADDRESS, Range, address_number, network_ranges
from penstock.policy.routes import Ruleset


class Considered(NamedTuple):
    """
    One route.

    Args:
        route: The route.
        missed: The first key that did not match, by its name in the plan; None if all did.
    """

    route: RoutePlan
    missed: str | None


class Explanation(NamedTuple):
    """
    The whole answer.

    Args:
        decision: What is decided, as `Ruleset.decide` says.
        considered: Every route, those of higher priority first, else in the order of the configuration.
    """

    decision: Decision
    considered: tuple[Considered, ...]


def explain(routes: Sequence[RoutePlan], ruleset: Ruleset, facts: RouteFacts) -> Explanation:
    """
    Return what is decided, and what each route lacked.

    Args:
        routes: Those that the ruleset was made of.
        ruleset: What decides.
        facts: About which it is asked.
    """
    by_priority = sorted(routes, key=lambda route: -route.priority)
    return Explanation(
        ruleset.decide(facts), tuple(Considered(route, first_missed(route.match, facts)) for route in by_priority)
    )


def first_missed(match: MatchPlan, facts: RouteFacts) -> str | None:
    """Return the name of the first key that does not match, or None."""
    return next((name for name, holds in _KEYS.items() if not holds(match, facts)), None)


def _one_of(values: Sequence[object], fact: object) -> bool:
    return not values or fact in values


def _within(ranges: Sequence[Range], port: int) -> bool:
    return not ranges or any(first <= port <= last for first, last in ranges)


def _of_network(network: str, host: str) -> bool:
    number = address_number(host)
    return number != NOT_AN_ADDRESS and any(first <= number <= last for first, last in network_ranges(network))


def _wanted(destination: DestinationPlan, facts: RouteFacts) -> bool:
    pattern, host = destination.host, hosts.fold(facts.destination)
    found = hosts.matches(pattern, host) if network_of(pattern) is None else _of_network(pattern, host)
    return bool(host) and found and _within(destination.ports, facts.destination_port)


_KEYS: dict[str, Callable[[MatchPlan, RouteFacts], bool]] = {
    "listeners": lambda match, facts: _one_of(match.listeners, facts.listener),
    "domains": lambda match, facts: (
        not match.domains or any(hosts.matches(pattern, hosts.fold(facts.host)) for pattern in match.domains)
    ),
    "paths": lambda match, facts: not match.paths or any(paths.matches(pattern, facts.path) for pattern in match.paths),
    "clients": lambda match, facts: (
        not match.clients or any(_of_network(network, facts.client) for network in match.clients)
    ),
    "users": lambda match, facts: _one_of(match.users, facts.user),
    "ports": lambda match, facts: _within(match.ports, facts.port),
    "destinations": lambda match, facts: (
        not match.destinations or any(_wanted(each, facts) for each in match.destinations)
    ),
    "tls_versions": lambda match, facts: _one_of(match.tls_versions, facts.tls_version),
    "sni": lambda match, facts: match.sni is None or match.sni is facts.sni,
}
"""Every key of a match, in the plan's order, and whether it holds."""
