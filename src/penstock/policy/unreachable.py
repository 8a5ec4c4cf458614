"""
Routes that can never be taken, found before they are missed.

What is said is true: a route that is named is never taken. It is not all that could be said: a route that several
others take everything from together is not found.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from penstock.base.addresses import unpack_ip
from penstock.config.plan import DestinationPlan, MatchPlan, RoutePlan
from penstock.policy import hosts, paths
from penstock.policy.facts import RouteFacts
from penstock.policy.keys import ALL_PORTS, network_of
from penstock.policy.ranges import Range, contains, merge, network_ranges
from penstock.policy.routes import Ruleset, keys_of


class Unreachable(NamedTuple):
    """
    One route.

    Args:
        route: Never taken.
        why: For the operator.
    """

    route: RoutePlan
    why: str


def unreachable(routes: Sequence[RoutePlan]) -> list[Unreachable]:
    """
    Return the routes that can never be taken.

    Each route is compared with those only that match one example of what it matches: who covers it matches that too.

    Args:
        routes: In the order of the configuration.
    """
    found = []
    live = []
    for route in routes:
        why = empty(route.match)
        if why:
            found.append(Unreachable(route, why))
        else:
            live.append(route)
    if not live:
        return found
    ruleset = Ruleset(live, live[0])
    places = {route.id: place for place, route in enumerate(live)}
    for route in live:
        rivals = {rival.id: rival for rival in ruleset.matching(example(route.match))}
        for rival in sorted(rivals.values(), key=lambda rival: places[rival.id]):
            if why := _shadow(rival, route, places[rival.id] < places[route.id]):
                found.append(Unreachable(route, why))
                break
    order = {route.id: place for place, route in enumerate(routes)}
    return sorted(found, key=lambda each: order[each.route.id])


def empty(match: MatchPlan) -> str:
    """Return why a match holds for nothing, or nothing."""
    if match.ports and not merge(match.ports):
        return "its ports are empty: the first of each range is behind the last"
    if match.destinations and not any(not each.ports or merge(each.ports) for each in match.destinations):
        return "the ports of its destinations are empty: the first of each range is behind the last"
    if match.ports and match.destinations and not any(_meet(match.ports, each.ports) for each in match.destinations):
        return "none of its destinations is at one of its ports, and both must match"
    return ""


def _meet(ports: Sequence[Range], others: Sequence[Range]) -> bool:
    """Return whether some port is in both; no ranges are all ports."""
    pairs = ((one, other) for one in merge(ports) for other in merge(others or ALL_PORTS))
    return any(one[0] <= other[1] and other[0] <= one[1] for one, other in pairs)


def _shadow(rival: RoutePlan, route: RoutePlan, earlier: bool) -> str:
    """Return why a rival takes all that a route matches, or nothing if it does not."""
    if rival.priority < route.priority or not covers(rival.match, route.match):
        return ""
    if rival.priority > route.priority:
        return f"route {rival.name}, of higher priority, takes all that it matches"
    if earlier and _as_specific(rival.match, route.match):
        return f"route {rival.name}, which stands before it, takes all that it matches"
    return ""


def _as_specific(one: MatchPlan, other: MatchPlan) -> bool:
    """Return whether two matches are ranked the same wherever both hold."""
    same = all(
        set(getattr(one, name) or any_) == set(getattr(other, name) or any_)
        for name, any_ in (("domains", (hosts.ANY,)), ("paths", (paths.ANY,)), ("clients", ()))
    )
    return same and len(keys_of(one)) == len(keys_of(other))


def covers(match: MatchPlan, other: MatchPlan) -> bool:
    """Return whether a match surely holds for all for which another does."""
    others = keys_of(other)
    return all(name in others and _WITHIN[name](getattr(match, name), getattr(other, name)) for name in keys_of(match))


def _each(covers_one: Callable[..., bool]) -> Callable[..., bool]:
    return lambda mine, others: all(any(covers_one(one, other) for one in mine) for other in others)


def _ranges(networks: Iterable[str]) -> list[Range]:
    return [each for network in networks for each in network_ranges(network)]


def _covers_destination(one: DestinationPlan, other: DestinationPlan) -> bool:
    if not contains(one.ports or ALL_PORTS, other.ports or ALL_PORTS):
        return False
    if one.host == hosts.ANY:
        return True
    mine, others = network_of(one.host), network_of(other.host)
    if mine is None or others is None:
        return mine is others and hosts.covers(one.host, other.host)
    return contains(mine, others)


_WITHIN: dict[str, Callable[..., bool]] = {
    "listeners": lambda mine, others: set(mine) >= set(others),
    "domains": _each(hosts.covers),
    "paths": _each(paths.covers),
    "clients": lambda mine, others: contains(_ranges(mine), _ranges(others)),
    "users": lambda mine, others: set(mine) >= set(others),
    "ports": contains,
    "destinations": _each(_covers_destination),
    "tls_versions": lambda mine, others: set(mine) >= set(others),
    "sni": lambda mine, other: mine is other,
}
"""Whether the values of one match take in all of another's, by key."""


def example(match: MatchPlan) -> RouteFacts:
    """Return facts for which a match holds."""
    host = match.domains[0].replace(hosts.ANY, "any") if match.domains else ""
    client = unpack_ip(_ranges(match.clients[:1])[0][1].to_bytes(16)) if match.clients else "-"
    wanted = next((each for each in match.destinations if not each.ports or merge(each.ports)), None)
    destination = _example_host(wanted.host) if wanted else ""
    return RouteFacts(
        listener=match.listeners[0] if match.listeners else 0,
        client=client,
        host=host,
        port=merge(match.ports)[0][0] if match.ports else 0,
        path=match.paths[0].removesuffix(paths.ANY) if match.paths else "",
        user=match.users[0] if match.users else "",
        destination=destination,
        destination_port=merge(wanted.ports)[0][0] if wanted and wanted.ports else 0,
        tls_version=match.tls_versions[0] if match.tls_versions else 0,
        sni=bool(match.sni),
    )


def _example_host(pattern: str) -> str:
    ranges = network_of(pattern)
    return pattern.replace(hosts.ANY, "any") if ranges is None else unpack_ip(ranges[0][1].to_bytes(16))
