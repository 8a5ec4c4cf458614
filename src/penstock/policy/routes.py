"""
Which route a connection or request takes: an immutable set of rules, compiled once, that answers as fast for ten
thousand routes as for ten.

Of several routes that match, the one is taken that has

1. the higher priority;
2. the more specific domain: a name before a suffix, a longer suffix before a shorter one, before any;
3. the more specific path: a path before a beginning, a longer beginning before a shorter one, before any;
4. the narrower network of clients, before any;
5. more keys;
6. its place earlier in the configuration.

Each rule counts with the values by which it matched, so a route of several domains may win by one and lose by another.

How it is found: all rules are ranked once, as far as they can be. They stand in leaves by domain and path, which are
looked up; within a leaf each remaining key answers for all rules at once (policy.keys), and the lowest bit that all
keys leave is the leaf's winner.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from penstock.config.plan import ListenerPlan, MatchPlan, RoutePlan
from penstock.policy import hosts, paths
from penstock.policy.facts import Decision, RouteFacts
from penstock.policy.hosts import HostIndex
from penstock.policy.keys import Clients, Destinations, Key, Ports, Values, bits
from penstock.policy.paths import PathIndex
from penstock.policy.ranges import prefix_length

NO_ROUTE = "no route matches"

NAMES = 1_024
"""Names whose route is remembered where names alone decide; nginx's map_hash_max_size is 2,048."""

_ANY_CLIENT = -1


class Rule(NamedTuple):
    """
    A route with one domain, one path and networks of one size.

    Args:
        rank: The lower wins; no two rules have the same.
        route: Whose rule it is.
        domain: Pattern; `*` for any.
        path: Pattern; `*` for any.
        clients: Networks; empty for any.
        decision: What is decided where it wins.
    """

    rank: int
    route: RoutePlan
    domain: str
    path: str
    clients: tuple[str, ...]
    decision: Decision


class Ruleset:
    """
    All routes, compiled.

    Args:
        routes: In the order of the configuration.
        default: Taken where none matches.
    """

    __slots__ = ("_default", "_leaves", "_names", "_worst")

    def __init__(self, routes: Sequence[RoutePlan], default: RoutePlan) -> None:
        self._default = Decision(default, NO_ROUTE)
        rules = rank(routes)
        self._worst = len(rules)
        grouped: dict[str, dict[str, list[Rule]]] = {}
        for rule in rules:
            grouped.setdefault(rule.domain, {}).setdefault(rule.path, []).append(rule)
        leaves = {domain: {path: Leaf(group) for path, group in by_path.items()} for domain, by_path in grouped.items()}
        self._leaves = HostIndex({domain: PathIndex(by_path) for domain, by_path in leaves.items()})
        named = all(each.keyless and path == paths.ANY for by in leaves.values() for path, each in by.items())
        self._names: dict[str, Decision] | None = {} if named else None

    def by_name(self, host: str) -> Decision | None:
        """
        Return the route for a name, without asking what else is known of its client.

        Args:
            host: Any spelling.

        Returns:
            None where other facts could decide too.
        """
        names = self._names
        if names is None:
            return None
        decision = names.get(host)
        if decision is None:
            if len(names) >= NAMES:
                names.clear()
            decision = names[host] = self.decide(RouteFacts(listener=0, host=host))
        return decision

    def decide(self, facts: RouteFacts) -> Decision:
        """
        Return the route that is taken.

        Args:
            facts: The same facts always give the same decision.
        """
        best, decision = self._worst, self._default
        for index in self._leaves.find(hosts.fold(facts.host)):
            for leaf in index.find(facts.path):
                if leaf.best < best and (rule := leaf.first(facts)) is not None and rule.rank < best:
                    best, decision = rule.rank, rule.decision
        return decision

    def matching(self, facts: RouteFacts) -> Iterator[RoutePlan]:
        """Yield every route that matches, in no order; one of several domains or networks maybe more than once."""
        for index in self._leaves.find(hosts.fold(facts.host)):
            for leaf in index.find(facts.path):
                yield from (rule.route for rule in leaf.all(facts))


def rules_of(routes: Sequence[RoutePlan], listener: ListenerPlan) -> Ruleset | None:
    """Return what decides the route of a listener's connections; None where none but its own can match."""
    concerned = concerning(routes, listener)
    return Ruleset(concerned, listener.route) if concerned else None


def concerning(routes: Iterable[RoutePlan], listener: ListenerPlan) -> list[RoutePlan]:
    """Return the routes that a listener's connections may take, beside its own."""
    return [route for route in routes if not route.match.listeners or listener.id in route.match.listeners]


class Leaf:
    """
    The rules of one domain and one path.

    Args:
        rules: Ranked.

    Attributes:
        best: Rank of the first rule.
        keyless: Whether all rules match whatever else is known.
    """

    __slots__ = ("_all", "_keys", "_rules", "best", "keyless")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.best = rules[0].rank
        self._rules = tuple(rules)
        self._all = (1 << len(rules)) - 1
        self._keys = tuple(_keys(rules))
        self.keyless = not self._keys

    def first(self, facts: RouteFacts) -> Rule | None:
        """Return the rule of the lowest rank that matches, or None."""
        mask = self._find(facts)
        return self._rules[(mask & -mask).bit_length() - 1] if mask else None

    def all(self, facts: RouteFacts) -> list[Rule]:
        """Return all rules that match, by rank."""
        return [self._rules[place] for place in bits(self._find(facts))]

    def _find(self, facts: RouteFacts) -> int:
        mask = self._all
        for key in self._keys:
            mask &= key.find(facts)
            if not mask:
                break
        return mask


def rank(routes: Sequence[RoutePlan]) -> list[Rule]:
    """Return the rules of all routes, the one that wins over all others first."""
    drafts = []
    for place, route in enumerate(routes):
        match = route.match
        keys = len(keys_of(match))
        for domain in dict.fromkeys(match.domains or (hosts.ANY,)):
            for path in dict.fromkeys(match.paths or (paths.ANY,)):
                for length, clients in _by_length(match.clients).items():
                    order = (
                        -route.priority,
                        *(-each for each in hosts.specificity(domain)),
                        *(-each for each in paths.specificity(path)),
                        -length,
                        -keys,
                        place,
                    )
                    drafts.append((order, (route, domain, path, clients)))
    drafts.sort(key=lambda draft: draft[0])
    return [Rule(number, *draft, Decision(draft[0], _why(*draft))) for number, (_, draft) in enumerate(drafts)]


def keys_of(match: MatchPlan) -> list[str]:
    """Return the names of the keys that could keep anything out, in the order of the plan; `*` alone could not."""
    named = [name for name in match.__struct_fields__ if getattr(match, name) not in ((), None)]
    trivial = [name for name, any_ in (("domains", hosts.ANY), ("paths", paths.ANY)) if any_ in getattr(match, name)]
    return [name for name in named if name not in trivial]


def _by_length(clients: Iterable[str]) -> dict[int, tuple[str, ...]]:
    by_length: dict[int, tuple[str, ...]] = {}
    for network in clients:
        length = prefix_length(network)
        by_length[length] = (*by_length.get(length, ()), network)
    return by_length or {_ANY_CLIENT: ()}


def _why(route: RoutePlan, domain: str, path: str, clients: tuple[str, ...]) -> str:
    """Return what of a match decided; long lists are cut, for they may hold thousands."""
    parts = [f"priority {route.priority}"] if route.priority else []
    parts += [f"domain {domain}"] if domain != hosts.ANY else []
    parts += [f"path {path}"] if path != paths.ANY else []
    parts += [f"clients {', '.join(clients[:3])}{', ...' * (len(clients) > 3)}"] if clients else []
    parts += [name for name in keys_of(route.match) if name not in ("domains", "paths", "clients")]
    return "; ".join(parts) or "it matches all"


def _keys(rules: Sequence[Rule]) -> Iterator[Key]:
    """Yield the keys that any of the rules has, the cheapest first."""
    matches = [rule.route.match for rule in rules]
    if any(match.listeners for match in matches):
        yield Values([match.listeners for match in matches], attrgetter("listener"))
    if any(match.users for match in matches):
        yield Values([match.users for match in matches], attrgetter("user"))
    if any(match.tls_versions for match in matches):
        yield Values([match.tls_versions for match in matches], attrgetter("tls_version"))
    if any(match.sni is not None for match in matches):
        yield Values([() if match.sni is None else (match.sni,) for match in matches], attrgetter("sni"))
    if any(match.ports for match in matches):
        yield Ports([match.ports for match in matches])
    if any(rule.clients for rule in rules):
        yield Clients([rule.clients for rule in rules])
    if any(match.destinations for match in matches):
        yield Destinations([match.destinations for match in matches])
