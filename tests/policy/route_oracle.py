"""Routes and facts that often meet, and the rules of policy.routes read naively: one route after the other."""

import ipaddress

from hypothesis import strategies as st

from penstock.config.plan import DestinationPlan, MatchPlan, RoutePlan
from penstock.policy.facts import RouteFacts

DEFAULT = RoutePlan(id=65_535, name="default")
HOSTS = ["a", "b.a", "c.b.a", "b", "10.0.0.1", ""]
DOMAINS = ["a", "b.a", "*.a", "*.b.a", "*", "b"]
PATHS = ["/", "/x", "/x/y", "/x/yz", ""]
PATTERNS = ["*", "/*", "/x", "/x*", "/x/*", "/x/y", "/x/y*"]
CLIENTS = ["10.0.0.1", "10.0.1.1", "11.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", "-"]
NETWORKS = ["10.0.0.0/24", "10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "2001:db8::/32"]
SPANS = [(1, 1), (1, 2), (2, 9), (9, 2)]
PLACES = ["a", "*.a", "*", "10.0.0.0/8", "10.0.0.1"]


def some(values):
    """Up to three of some values."""
    return st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


DESTINATIONS = st.lists(st.builds(DestinationPlan, host=st.sampled_from(PLACES), ports=some(SPANS)), max_size=2)
MATCHES = st.builds(
    MatchPlan,
    listeners=some([1, 2]),
    domains=some(DOMAINS),
    paths=some(PATTERNS),
    clients=some(NETWORKS),
    users=some(["ann", "bob"]),
    ports=some(SPANS),
    destinations=DESTINATIONS.map(tuple),
    tls_versions=some([0, 0x0303, 0x0304]),
    sni=st.sampled_from([None, None, True, False]),
) | st.builds(MatchPlan, domains=some(DOMAINS), paths=some(PATTERNS), clients=some(NETWORKS))
ROUTES = st.lists(st.tuples(st.integers(-1, 1) | st.just(0), MATCHES), max_size=8).map(
    lambda drafts: tuple(
        RoutePlan(id=number, name=f"r{number}", priority=priority, match=match)
        for number, (priority, match) in enumerate(drafts, 1)
    )
)
FACTS = st.builds(
    RouteFacts,
    listener=st.sampled_from([1, 2, 3]),
    client=st.sampled_from(CLIENTS),
    host=st.sampled_from(HOSTS),
    port=st.sampled_from([0, 1, 2, 3]),
    path=st.sampled_from(PATHS),
    user=st.sampled_from(["", "ann", "bob"]),
    destination=st.sampled_from(HOSTS),
    destination_port=st.sampled_from([1, 2, 3]),
    tls_version=st.sampled_from([0, 0x0303, 0x0304]),
    sni=st.booleans(),
)


def is_in(network, client):
    """Whether a client is in a network, mapped addresses folded."""
    try:
        ip = ipaddress.ip_address(client)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip in ipaddress.ip_network(network)


def named(pattern, host):
    """Whether a name fits a pattern of names."""
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) and host != pattern[1:] if pattern[0] == "*" else host == pattern


def asked(destination, facts):
    """Whether the destination is the one."""
    by_name = not destination.host[0].isdigit() and named(destination.host, facts.destination)
    by_address = destination.host[0].isdigit() and is_in(destination.host, facts.destination)
    return bool(facts.destination) and (by_name or by_address) and ported(destination.ports, facts.destination_port)


def ported(ports, port):
    """Whether a port is in the ranges."""
    return not ports or any(first <= port <= last for first, last in ports)


def naive(routes, facts):
    """The rules as policy.routes words them, one route and one value after the other."""
    best, winner = None, DEFAULT
    for place, route in enumerate(routes):
        match = route.match
        plain = (
            (not match.listeners or facts.listener in match.listeners)
            and (not match.users or facts.user in match.users)
            and (not match.tls_versions or facts.tls_version in match.tls_versions)
            and (match.sni is None or match.sni == facts.sni)
            and ported(match.ports, facts.port)
            and (not match.destinations or any(asked(each, facts) for each in match.destinations))
        )
        domains = [each for each in match.domains or ["*"] if named(each, facts.host)]
        paths = [
            each
            for each in match.paths or ["*"]
            if (facts.path.startswith(each[:-1]) if each[-1] == "*" else facts.path == each)
        ]
        networks = [ipaddress.ip_network(each).prefixlen for each in match.clients if is_in(each, facts.client)]
        if not plain or not domains or not paths or (match.clients and not networks):
            continue
        count = len([name for name in match.__struct_fields__ if getattr(match, name) not in ((), None)])
        count -= ("*" in match.domains) + ("*" in match.paths)
        for domain in domains:
            for path in paths:
                score = (
                    route.priority,
                    ("*" not in domain, len(domain) if domain != "*" else 0),
                    ("*" not in path, len(path) if path != "*" else 0),
                    max(networks, default=-1),
                    count,
                    -place,
                )
                if best is None or score > best:
                    best, winner = score, route
    return winner
