"""What the keys of ACME mean together, and with listeners."""

from collections.abc import Iterator

from penstock.config.acme import Acme
from penstock.config.mistakes import Assign, Mistake, quoted
from penstock.config.serving import Service
from penstock.config.table import known
from penstock.config.tls_plan import HTTP_01

CERTIFICATES = 100
"""Most of one node; Let's Encrypt issues 50 a week for one registered domain."""


def acme_mistakes(acme: Acme, served: list[Service]) -> Iterator[Mistake]:
    """
    Yield what is wrong between the keys of ACME, and between it and listeners.

    Args:
        acme: May have holes.
        served: All listeners; may have holes.
    """
    users = [service for service in served if known(service.listener.acme) and service.listener.acme]
    for number, service in enumerate(served):
        listener = service.listener
        if service in users and known(listener.protocol) and listener.protocol != "tls":
            what = f"only a tls listener has certificates, and this one is {listener.protocol}"
            yield Mistake(("listener", number, "acme"), what, Assign("protocol", '"tls"'))
        elif service in users and known(acme.domains) and not acme.domains:
            what = "[acme] names no domains, so there is no certificate to serve"
            yield Mistake(("listener", number, "acme"), what, 'domains = ["example.com"] in [acme]')
    if not known(acme.domains):
        return
    if not acme.domains:
        yield from _idle(acme)
        return
    if not users:
        yield Mistake(("acme", "domains"), "no listener serves these certificates", "acme = true in a tls listener")
    if known(acme.agree_to_terms) and not acme.agree_to_terms:
        what = "must be true: an authority issues nothing to those who do not agree to its terms of service"
        given = "agree_to_terms" in acme.model_fields_set
        yield Mistake(("acme", "agree_to_terms"), what, Assign("agree_to_terms", "true"), present=given)
    yield from _bound(acme)
    yield from _twice(acme)
    yield from _http(acme, served)


def _idle(acme: Acme) -> Iterator[Mistake]:
    if acme.model_fields_set - {"domains"}:
        what = "missing: there is nothing to get a certificate for"
        yield Mistake(("acme", "domains"), what, Assign("domains", '["example.com"]'), present=False)


def _bound(acme: Acme) -> Iterator[Mistake]:
    """Yield what is missing of what binds us to an account."""
    if not known(acme.eab_kid, acme.eab_key_file) or (acme.eab_kid is None) is (acme.eab_key_file is None):
        return
    missing, there, example = (
        ("eab_kid", "eab_key_file", '"the id that the authority gave"')
        if acme.eab_kid is None
        else ("eab_key_file", "eab_kid", '"/etc/penstock/eab.key"')
    )
    yield Mistake(("acme", missing), f"missing: {there} has both", Assign(missing, example), present=False)


def _twice(acme: Acme) -> Iterator[Mistake]:
    if len(acme.domains) > CERTIFICATES:
        yield Mistake(("acme", "domains"), f"{len(acme.domains)} certificates; a node gets at most {CERTIFICATES}")
    first: dict[str, int] = {}
    for place, names in enumerate(acme.domains):
        for name in names if known(names) else ():
            if first.setdefault(name, place) != place:
                yield Mistake(("acme", "domains", place), f"{quoted(name)} is in certificate {first[name] + 1} too")


def _http(acme: Acme, served: list[Service]) -> Iterator[Mistake]:
    name, listen = acme.http_listener, acme.http_listen
    if not known(acme.challenge, name, listen):
        return
    if acme.challenge != HTTP_01:
        for key in ("http_listener", "http_listen"):
            if getattr(acme, key) is not None:
                yield Mistake(("acme", key), f"is for http-01, and the challenge is {acme.challenge}")
    elif name is not None and listen is not None:
        yield Mistake(("acme", "http_listen"), f"listener {name} answers already, as http_listener says")
    elif name is not None:
        found = [each.listener for each in served if each.name == name]
        if not found:
            yield Mistake(("acme", "http_listener"), "no such listener")
        elif known(found[0].protocol, found[0].reverse) and not (found[0].protocol == "http" and found[0].reverse):
            yield Mistake(("acme", "http_listener"), "must be an http listener with reverse = true")
