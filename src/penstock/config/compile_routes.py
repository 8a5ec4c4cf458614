"""From the model of listeners and routes to their plans: numbers for the ledger, and what was left out filled in."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from penstock.base.addresses import is_loopback
from penstock.config.access_rules import rule_names
from penstock.config.acme import OWN_LISTENER, own_endpoint
from penstock.config.attached import Attached
from penstock.config.limit_plan import BandwidthPlan, LimitPlan, QuotaPlan, RatePlan
from penstock.config.limits import Limit, Limits, QuotaLimit
from penstock.config.listener import Certificate, Listener
from penstock.config.mistakes import Key
from penstock.config.model import Config
from penstock.config.plan import (
    AccessRulePlan,
    HealthPlan,
    ListenerPlan,
    MatchPlan,
    ParentPlan,
    RewritePlan,
    RoutePlan,
    RouteTimeoutPlan,
    TargetPlan,
)
from penstock.config.route import Match, Rewrite, Route, is_own
from penstock.config.serving import OWN_ROUTE, Service, free_name, services, serving
from penstock.config.tls_plan import HTTP_01, TLS_ALPN_01, AcmePlan, CertificatePlan, TargetTlsPlan, TlsPlan
from penstock.config.way import Parent, Target, TargetTls
from penstock.config.week import minutes

STATUS = {"redirect": 302, "answer": 200}
"""Status of an action that was given none; 302 is what no browser remembers."""

TLS_VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}
"""RFC 8446 section 4.2.1."""


NO_ACME = AcmePlan()


class Served(NamedTuple):
    """
    What the workers serve.

    Args:
        listeners: All of them.
        routes: Those that have something to match, in the order of the configuration.
        rules: Who may go where.
    """

    listeners: tuple[ListenerPlan, ...]
    routes: tuple[RoutePlan, ...]
    rules: tuple[AccessRulePlan, ...]


def compile_served(config: Config, attached: Attached, acme: AcmePlan = NO_ACME) -> Served:
    """
    Return listeners and routes with their numbers: listeners and routes from 1, own routes before the others; targets
    from 1 over all.

    Args:
        config: Without mistakes.
        attached: Its files.
        acme: Certificates that listeners serve besides.
    """
    return _Numbering(config, attached, acme).served()


class _Numbering:
    """One pass over a configuration; gives out the numbers of targets as it goes."""

    def __init__(self, config: Config, attached: Attached, acme: AcmePlan) -> None:
        self._config, self._attached, self._acme = config, attached, acme
        self._services = services(config)
        self._answers = own_endpoint(config.acme)
        names = [s.route for s in self._services] + ([OWN_ROUTE] if self._answers else [])
        self._own = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
        self._places = {id(route): place for place, route in enumerate(config.route)}
        self._shared: dict[int, RoutePlan] = {}
        self._next_target = 1

    def served(self) -> Served:
        """Return everything."""
        listeners = tuple(self._listener(place, each) for place, each in enumerate(self._services)) + self._answering()
        matched = [(place, route) for place, route in enumerate(self._config.route) if not is_own(route)]
        first = len(self._own) + 1
        routes = tuple(self._route(number, *each) for number, each in enumerate(matched, first))
        return Served(listeners, routes, tuple(self._rules()))

    def _rules(self) -> Iterator[AccessRulePlan]:
        numbers = {service.name: place for place, service in enumerate(self._services, 1)}
        for name, rule in zip(rule_names(self._config.access), self._config.access, strict=True):
            yield AccessRulePlan(
                name=name,
                action=rule.action,
                priority=rule.priority,
                listeners=tuple(numbers[each] for each in dict.fromkeys(rule.listeners)),
                clients=tuple(rule.clients),
                users=tuple(rule.users),
                ports=tuple(rule.ports),
                destinations=tuple(rule.destinations),
                times=minutes(rule.days, rule.hours),
            )

    def _listener(self, place: int, service: Service) -> ListenerPlan:
        listener, key = service.listener, ("listener", place)
        return ListenerPlan(
            id=place + 1,
            name=service.name,
            protocol=listener.protocol,
            host=listener.listen.host,
            port=listener.listen.port,
            route=self._own_route(service),
            users=_users(listener),
            users_file=self._attached.path((*key, "users_file"), listener.users_file),
            detect=service.detect,
            tls=self._tls(listener, key),
            reverse=listener.reverse,
            inside=listener.inside or "tcp",
            accept_proxy=listener.accept_proxy,
            trusted_proxies=tuple(listener.trusted_proxies),
            challenge=self._challenge(service),
            allow_private=_allow_private(listener),
            limits=_limits(listener.limits),
        )

    def _tls(self, listener: Listener, key: Key) -> TlsPlan | None:
        got = self._acme.certificates if listener.acme else ()
        return _tls(listener, key, self._attached, got) if listener.certificates or got else None

    def _challenge(self, service: Service) -> str:
        """Return which ACME challenge a listener answers."""
        if not self._acme.certificates:
            return ""
        if self._acme.challenge == TLS_ALPN_01:
            return TLS_ALPN_01 if service.listener.acme else ""
        return HTTP_01 if service.name == self._config.acme.http_listener else ""

    def _answering(self) -> tuple[ListenerPlan, ...]:
        """Return the listener that does nothing but answer challenges, if one is needed."""
        if self._answers is None or not self._acme.certificates:
            return ()
        name = free_name(OWN_LISTENER, {each.name for each in self._services})
        route = RoutePlan(id=self._own[OWN_ROUTE], name=OWN_ROUTE)
        host, port = self._answers
        number = len(self._services) + 1
        return (
            ListenerPlan(
                id=number, name=name, protocol="http", host=host, port=port, route=route, reverse=True,
                challenge=HTTP_01,
            ),
        )  # fmt: skip

    def _own_route(self, service: Service) -> RoutePlan:
        """Return a listener's own route; listeners that share a route share its plan."""
        number = self._own[service.route]
        if service.own is None:
            return RoutePlan(id=number, name=service.route, targets=self._targets(service.listener.targets))
        if number not in self._shared:
            self._shared[number] = self._route(number, self._places[id(service.own)], service.own)
        return self._shared[number]

    def _route(self, number: int, place: int, route: Route) -> RoutePlan:
        places = [] if is_own(route) else serving(route, self._services)
        everywhere = len(places) == len(self._services) and self._answers is None
        listeners = () if everywhere else tuple(each + 1 for each in places)
        return route_plan(number, route, ("route", place), self._attached, self._targets(route.targets), listeners)

    def _targets(self, targets: Sequence[Target]) -> tuple[TargetPlan, ...]:
        first, self._next_target = self._next_target, self._next_target + len(targets)
        return tuple(
            TargetPlan(
                id=number,
                host=each.address.host,
                port=each.address.port,
                weight=each.weight,
                send_proxy=each.send_proxy or "",
            )
            for number, each in enumerate(targets, first)
        )


def route_plan(
    number: int,
    route: Route,
    key: Key,
    attached: Attached,
    targets: tuple[TargetPlan, ...],
    listeners: tuple[int, ...] = (),
) -> RoutePlan:
    """
    Return the plan of a route.

    Args:
        number: Its number in the ledger.
        route: Without mistakes.
        key: Where it stands.
        attached: The configuration's files.
        targets: With their numbers.
        listeners: Numbers of the listeners that it serves; empty for all.
    """
    tls = _target_tls(route.target_tls, (*key, "target_tls"), attached)
    if tls is None and route.tls == "terminate_and_reencrypt":
        tls = TargetTlsPlan()
    return RoutePlan(
        id=number,
        name=route.name,
        priority=route.priority,
        match=_match(route.match, listeners),
        action=route.action,
        targets=targets,
        balance=route.balance,
        health=_health(route),
        tls="terminate" if route.tls in (None, "none") else route.tls,
        target_tls=tls,
        send_proxy=route.send_proxy,
        parent=_parent(route.parent, (*key, "parent"), attached),
        location=route.location or "",
        status=route.status or STATUS.get(route.action, 0),
        body=route.body or attached.bodies.get((*key, "body_file"), ""),
        content_type=route.content_type,
        rewrite=_rewrite(route.rewrite),
        users={user: password.get_secret_value() for user, password in route.users.items()},
        users_file=attached.path((*key, "users_file"), route.users_file),
        handler=route.handler or "",
        handler_timeout=route.handler_timeout,
        timeouts=RouteTimeoutPlan(**route.timeouts.model_dump()),
        limits=_limits(route.limits),
    )


def _match(match: Match, listeners: tuple[int, ...]) -> MatchPlan:
    return MatchPlan(
        listeners=listeners,
        domains=tuple(match.domains),
        paths=tuple(match.path),
        clients=tuple(match.clients),
        users=tuple(match.users),
        ports=tuple(match.ports),
        destinations=tuple(match.destinations),
        tls_versions=tuple(TLS_VERSIONS[each] for each in match.tls_versions),
        sni=match.sni,
    )


def _health(route: Route) -> HealthPlan:
    passive = HealthPlan(failures=route.passive.failures, ejection=route.passive.ejection, slow_start=route.slow_start)
    check = route.health_check
    if check is None:
        return passive
    return HealthPlan(
        kind=check.kind,
        path=check.path or "/",
        host=check.host or "",
        expect=tuple(check.expect),
        interval=check.interval,
        timeout=check.timeout,
        rise=check.rise,
        fall=check.fall,
        failures=passive.failures,
        ejection=passive.ejection,
        slow_start=passive.slow_start,
    )


def _target_tls(tls: TargetTls | None, key: Key, attached: Attached) -> TargetTlsPlan | None:
    if tls is None:
        return None
    return TargetTlsPlan(
        verify=tls.verify,
        ca=attached.path((*key, "ca"), tls.ca),
        server_name=tls.server_name or "",
        alpn=tuple(tls.alpn),
        cert=attached.path((*key, "cert"), tls.cert),
        key=attached.path((*key, "key"), tls.key),
    )


def _parent(parent: Parent | None, key: Key, attached: Attached) -> ParentPlan | None:
    if parent is None:
        return None
    return ParentPlan(
        kind=parent.kind,
        host=parent.address.host,
        port=parent.address.port,
        user=parent.user or "",
        password=parent.password.get_secret_value() if parent.password else "",
        tls=_target_tls(parent.tls, (*key, "tls"), attached) or TargetTlsPlan(),
    )


def _rewrite(rewrite: Rewrite) -> RewritePlan:
    return RewritePlan(
        strip_prefix=rewrite.strip_prefix or "",
        add_prefix=rewrite.add_prefix or "",
        host=rewrite.host or "",
        forwarded=rewrite.forwarded,
        set_request=tuple(rewrite.set_request.items()),
        set_response=tuple(rewrite.set_response.items()),
        remove_request=tuple(rewrite.remove_request),
        remove_response=tuple(rewrite.remove_response),
    )


def _tls(listener: Listener, key: Key, attached: Attached, got: Sequence[CertificatePlan]) -> TlsPlan:
    tls = listener.tls
    alpn = tls.alpn if tls.alpn is not None else ["http/1.1"] if listener.inside == "http" else []
    return TlsPlan(
        certificates=tuple(
            _certificate(each, (*key, "certificates", place), attached)
            for place, each in enumerate(listener.certificates)
        )
        + tuple(got),
        min_version=tls.min_version,
        ciphers=tls.ciphers or "",
        alpn=tuple(alpn),
        client_certificates=tls.client_certificates,
        client_ca=attached.path((*key, "tls", "client_ca"), tls.client_ca),
        tickets=tls.tickets,
    )


def _certificate(certificate: Certificate, key: Key, attached: Attached) -> CertificatePlan:
    cert = attached.path((*key, "cert"), certificate.cert)
    looked = attached.certificates.get(key)
    return CertificatePlan(
        cert=cert,
        key=attached.path((*key, "key"), certificate.key) or cert,
        names=looked.names if looked else (),
        not_after=looked.not_after if looked else 0,
    )


def _allow_private(listener: Listener) -> bool:
    """Return whether clients may go to private addresses: if it was said, and else if only this machine has them."""
    if listener.allow_private is not None:
        return listener.allow_private
    return is_loopback(listener.listen.host) and listener.accept_proxy == "off"  # who sends headers brings others


def limit_plan(
    connections: int | str,
    rate: tuple[int, int, int] | None,
    bandwidth: tuple[int, int] | None = None,
    each: tuple[int, int] | None = None,
) -> LimitPlan:
    """Return what somebody may have, and each connection of it."""
    plan = None if rate is None else RatePlan(count=rate[0], window=rate[1], burst=rate[2])
    return LimitPlan(
        connections=0 if isinstance(connections, str) else connections,
        rate=plan,
        bandwidth=bandwidth_plan(bandwidth),
        bandwidth_per_connection=bandwidth_plan(each),
    )


def plan_of(limit: Limit) -> LimitPlan:
    """Return what a table of limits means."""
    plan = limit_plan(limit.connections, limit.rate, limit.bandwidth, limit.bandwidth_per_connection)
    return replace(plan, quota=quota_plan(limit.quota, limit)) if isinstance(limit, QuotaLimit) else plan


def quota_plan(size: int | None, said: Limits | QuotaLimit) -> QuotaPlan | None:
    """Return a quota of so many bytes, with what a table says of it; None for no limit."""
    if size is None:
        return None
    slower = bandwidth_plan(said.quota_throttle) if said.quota_action == "throttle" else None
    return QuotaPlan(size=size, reset_day=said.quota_reset_day, throttle=slower)


def bandwidth_plan(bandwidth: tuple[int, int] | None) -> BandwidthPlan | None:
    """Return a bandwidth as workers want it; None for no limit."""
    return None if bandwidth is None else BandwidthPlan(rate=bandwidth[0], burst=bandwidth[1])


def _limits(limit: Limit | None) -> LimitPlan | None:
    """Return what a listener or route may have; None where nothing limits it."""
    plan = LimitPlan() if limit is None else plan_of(limit)
    return None if plan == LimitPlan() else plan


def _users(listener: Listener) -> dict[str, str]:
    users = {user: password.get_secret_value() for user, password in listener.users.items()}
    if listener.auth:
        user, _, password = listener.auth.get_secret_value().partition(":")
        users[user] = password
    return users
