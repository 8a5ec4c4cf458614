"""What the keys of one listener mean together: logins, detection, TLS, PROXY headers, and where it sends."""

from collections.abc import Iterable, Iterator

from penstock.config.listener import Listener
from penstock.config.mistakes import Assign, Key, Mistake, quoted
from penstock.config.route import Route
from penstock.config.route_rules import twice
from penstock.config.serving import Service
from penstock.config.table import known

_TARGETS = Assign("targets", '["example.com:80"]')
_CERTIFICATES = Assign("certificates", '[{ cert = "site.pem", key = "site.key" }]')


def listener_mistakes(number: int, service: Service) -> Iterator[Mistake]:
    """
    Yield what is wrong between the keys of one listener.

    Args:
        number: Its place in the list.
        service: May have holes.
    """
    listener = service.listener
    yield from _login(number, listener)
    yield from _detect(number, listener)
    yield from _tls(number, listener)
    yield from _reverse(number, listener)
    yield from _proxies(number, listener)
    yield from _targets(number, listener)
    speaks = service.speaks
    if listener.allow_private is not None and known(listener.allow_private) and speaks and not speaks.asks:
        what = f"the clients of {speaks.what} do not say where they go"
        yield Mistake(("listener", number, "allow_private"), what)


def _login(number: int, listener: Listener) -> Iterator[Mistake]:
    if not known(
        listener.protocol, listener.users, listener.users_file, listener.auth, listener.inside, listener.reverse
    ):
        return
    user = listener.auth.get_secret_value().partition(":")[0] if listener.auth else ""
    key = "users" if listener.users else "users_file" if listener.users_file else "auth"
    if (listener.users or listener.users_file or listener.auth) and (
        listener.reverse or listener.protocol in ("tcp", "tls")
    ):
        web = listener.reverse or listener.inside == "http"
        what = f"a {'reverse ' if listener.reverse else ''}{listener.protocol} listener asks nobody for a login"
        yield Mistake(
            ("listener", number, key), what, f"{'users' if key == 'auth' else key} in its routes" if web else ""
        )
    elif user in listener.users:
        yield Mistake(("listener", number, "auth"), f"{quoted(user)} stands among the users as well")


def _detect(number: int, listener: Listener) -> Iterator[Mistake]:
    key = ("listener", number, "detect")
    if listener.detect is None or not known(listener.detect, listener.protocol, listener.targets):
        return
    if listener.protocol != "auto":
        yield Mistake(key, f"only an auto listener detects, and this one is {listener.protocol}")
    elif not listener.detect:
        yield Mistake(key, "names nothing to detect", '["http", "socks5"]')
    elif len(set(listener.detect)) < len(listener.detect):
        yield Mistake(key, "names a protocol twice")
    elif "tcp" not in listener.detect and listener.targets:
        yield Mistake(("listener", number, "targets"), "detect does not name tcp, so nothing would go there")


def _tls(number: int, listener: Listener) -> Iterator[Mistake]:
    key: Key = ("listener", number)
    if known(listener.protocol) and listener.protocol != "tls":
        for name in ("certificates", "tls", "inside"):
            value = getattr(listener, name)
            if name in listener.model_fields_set and known(value) and value not in ([], None):
                what = f"only a tls listener speaks TLS, and this one is {listener.protocol}"
                yield Mistake((*key, name), what, Assign("protocol", '"tls"'))
        return
    tls = listener.tls
    if known(tls) and known(tls.client_certificates, tls.client_ca):
        if tls.client_certificates != "off" and tls.client_ca is None:
            what = "missing: nobody could have issued what clients show"
            yield Mistake((*key, "tls", "client_ca"), what, Assign("client_ca", '"clients.pem"'), present=False)
        if tls.client_certificates == "off" and tls.client_ca is not None:
            what = "clients are asked for no certificate"
            yield Mistake((*key, "tls", "client_ca"), what, Assign("client_certificates", '"required"'))
    if known(tls, listener.inside) and listener.inside == "http" and known(tls.alpn) and tls.alpn is not None:
        for place, name in enumerate(tls.alpn):
            if known(name) and name not in ("http/1.1", "http/1.0"):
                yield Mistake((*key, "tls", "alpn", place), "HTTP inside TLS is 1.1 here", '"http/1.1"')


def _reverse(number: int, listener: Listener) -> Iterator[Mistake]:
    if not known(listener.protocol, listener.reverse) or not listener.reverse or listener.protocol == "http":
        return
    instead = Assign("inside", '"http"') if listener.protocol == "tls" else Assign("protocol", '"http"')
    yield Mistake(
        ("listener", number, "reverse"), f"is for http listeners, and this one is {listener.protocol}", instead
    )


def _proxies(number: int, listener: Listener) -> Iterator[Mistake]:
    key, accept, trusted = ("listener", number, "trusted_proxies"), listener.accept_proxy, listener.trusted_proxies
    if not known(accept, trusted, listener.listen):
        return
    if accept == "off" and trusted:
        yield Mistake(key, "no PROXY header is taken from anybody", Assign("accept_proxy", '"required"'))
    elif accept != "off" and not trusted and not listener.listen.host.startswith("unix:"):
        what = "missing: whoever may connect could say that they are somebody else"
        yield Mistake(key, what, Assign("trusted_proxies", '["10.0.0.0/8"]'), present=False)


def _targets(number: int, listener: Listener) -> Iterator[Mistake]:
    key = ("listener", number, "targets")
    if known(listener.protocol, listener.targets):
        forward = listener.protocol == "socks5" or (listener.protocol == "http" and not listener.reverse)
        if known(listener.reverse) and forward and listener.targets:
            what = f"the clients of {listener.protocol} say where they go"
            yield Mistake(key, what, Assign("reverse", "true") if listener.protocol == "http" else "")
        yield from twice(key, listener.targets)


def served_mistakes(
    number: int, service: Service, matched: Iterable[Route], *, blamed: bool = False
) -> Iterator[Mistake]:
    """
    Yield what is wrong between a listener and the routes that serve it.

    Args:
        number: Its place in the list.
        service: May have holes; the routes have none that matter.
        matched: Routes with something to match that serve it.
        blamed: Whether a route is told already that it lacks the targets.
    """
    listener, key = service.listener, ("listener", number, "targets")
    if len(service.routes) > 1:
        names = " and ".join(route.name for route in service.routes[:2] if known(route.name))
        what = f"routes {names} both serve it, and neither has a match; one of them can be the route of all the rest"
        yield Mistake(key, what, present=False)
    matched = list(matched)
    if service.speaks is None or not known(listener.targets, listener.name):
        return
    if not (listener.targets or service.routes or matched or blamed):
        if listener.protocol == "auto" and listener.detect and "tcp" in listener.detect:
            yield Mistake(key, "missing: detect names tcp", _TARGETS, present=False)
        elif service.speaks.sends and not service.speaks.asks:
            yield Mistake(key, f"missing: {service.speaks.what} sends somewhere", _TARGETS, present=False)
    bare = service.speaks.tls and known(listener.certificates, listener.acme)
    bare = bare and not (listener.certificates or listener.acme)
    if bare and (who := _terminating(service, matched)) is not None:
        what = f"missing: {who}, and that takes a certificate"
        yield Mistake(("listener", number, "certificates"), what, _CERTIFICATES, present=False)


def _terminating(service: Service, matched: Iterable[Route]) -> str | None:
    """Return which route of a tls listener terminates TLS, in words; None for none."""
    for route in (*service.routes, *matched):
        if known(route.tls, route.action) and route.tls != "passthrough" and route.action != "block":
            return f"route {route.name if known(route.name) else '-'} terminates TLS"
    return "the listener terminates TLS" if service.listener.targets else None
