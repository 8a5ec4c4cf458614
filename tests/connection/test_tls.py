"""The conversation of a TLS listener in screenplays: hellos of real clients, passed through, terminated or refused."""

from msgspec import structs

from penstock.base.outcomes import EndedBy, Phase, Reason
from penstock.config.plan import ListenerPlan, MatchPlan, RoutePlan, TargetPlan
from penstock.config.tls_plan import TLS_ALPN_01, CertificatePlan, TlsPlan
from penstock.connection.commands import Facts
from penstock.connection.tls import NAMELESS, hello_decides, inside, tls
from penstock.policy.routes import rules_of
from penstock.testing.playbook import (
    Proofs,
    closes,
    describes,
    dials_any,
    hangs_up,
    hears,
    perform,
    relays,
    says,
    secures,
    takes,
)  # fmt: skip
from penstock.testing.tls_peers import hello

TARGET = TargetPlan(id=1, host="192.0.2.10", port=443)
PASSED = RoutePlan(
    id=2, name="passed", match=MatchPlan(domains=("pass.example",)), targets=(TARGET,), tls="passthrough"
)
BLOCKED = RoutePlan(
    id=3, name="no", match=MatchPlan(domains=("no.example",)), action="block", tls="passthrough", targets=(TARGET,)
)
OWN = RoutePlan(id=1, name="own", targets=(TARGET,))
CERTIFICATES = TlsPlan(certificates=(CertificatePlan(cert="a.pem", key="a.key"),))
NO_SUCH_NAME = b"\x15\x03\x03\x00\x02\x02\x70"


def play(*script, certificates=CERTIFICATES, own=OWN, challenge="", proofs=None):
    """Perform a script."""
    listener = ListenerPlan(
        id=1, name="t", protocol="tls", host="::", port=443, route=own, tls=certificates, challenge=challenge
    )
    facts = Facts("198.51.100.7", 5_000, rules_of((PASSED, BLOCKED), listener), challenges=proofs)
    perform(lambda: tls(facts, listener), *script)


def test_a_name_that_is_passed_through():
    """The hello is left where it is, and goes to the target of the route that its name takes."""
    said = hello("pass.example")
    play(says(said), takes(PASSED), dials_any(), relays(said))


def test_what_is_terminated():
    """Any other name, and none at all, take the listener's own route: TLS is terminated, then its target is dialed."""
    for name, told in (("app.example", "app.example"), (None, "- (no SNI)")):
        said = hello(name)  # which the engine gives to OpenSSL; on this stage it stays where it is
        play(says(said), secures(), describes(destination=told), dials_any(), relays(said))


def test_what_was_terminated_before():
    """Where no hello decides, the conversation begins inside TLS: with the name that OpenSSL has heard."""
    listener = ListenerPlan(id=1, name="t", protocol="tls", host="::", port=443, route=OWN, tls=CERTIFICATES)
    for name, told in (("app.example", "app.example"), ("", NAMELESS)):
        facts = Facts("198.51.100.7", 5_000, None, name, 0x0303)
        perform(lambda facts=facts: inside(facts, listener), describes(destination=told), dials_any(), relays())


def test_when_a_hello_is_read():
    """Where TLS may end elsewhere, or something is asked that OpenSSL does not tell."""
    listener = ListenerPlan(id=1, name="t", protocol="tls", host="::", port=443, route=OWN, tls=CERTIFICATES)
    named = RoutePlan(id=4, name="n", match=MatchPlan(domains=("n.example",)), targets=(TARGET,))
    assert not hello_decides(listener, ())
    assert not hello_decides(listener, (named,))
    assert hello_decides(listener, (named, PASSED))
    assert hello_decides(listener, (RoutePlan(id=5, name="v", match=MatchPlan(tls_versions=(0x0304,))),))
    assert hello_decides(listener, (RoutePlan(id=6, name="h", action="handler"),))
    assert hello_decides(structs.replace(listener, tls=None), ())
    assert hello_decides(structs.replace(listener, route=PASSED), ())


def test_names_that_are_refused():
    """A blocked name is told so in TLS, and so is one that nothing passes through or terminates."""
    access, nowhere = ((EndedBy.PROXY, Phase.DECIDE, reason) for reason in (Reason.ACCESS, Reason.DESTINATION))
    play(says(hello("no.example")), takes(BLOCKED), hears(NO_SUCH_NAME), closes(*access, detail="blocks"))
    play(says(hello("a.example")), hears(NO_SUCH_NAME), closes(*nowhere), certificates=None)
    empty = RoutePlan(id=1, name="own", tls="passthrough")
    play(says(hello("a.example")), hears(NO_SUCH_NAME), closes(*nowhere), own=empty)


def test_what_is_no_hello():
    """Other bytes get the alert that fits them."""
    refused = EndedBy.PROXY, Phase.DETECT, Reason.PROTOCOL
    play(says(b"GET / HTTP/1.1\r\n\r\n"), hears(b"\x15\x03\x03\x00\x02\x02\x0a"), closes(*refused, detail="no TLS"))
    play(says(hello("a.example")[:40]), hangs_up(), closes(EndedBy.CLIENT, Phase.DETECT))


def test_a_name_is_proved():
    """Who offers acme-tls/1 alone, and asks for a name that is being proved, shakes hands for that and nothing more."""
    proving = {"challenge": TLS_ALPN_01, "proofs": Proofs(names=("app.example", "pass.example"))}
    for name in ("app.example", "pass.example"):
        told = describes(destination=name)
        done = closes(EndedBy.COMPLETE, Phase.DONE)
        play(says(hello(name, "acme-tls/1")), secures(proves=name), told, done, **proving)


def test_nobody_else_gets_the_proof():
    """Other protocols beside it, another name, and a listener that proves nothing: all are served as usual."""
    proving = {"challenge": TLS_ALPN_01, "proofs": Proofs(names=("app.example",))}
    for said, more in (
        (hello("app.example", "acme-tls/1", "http/1.1"), proving),
        (hello("app.example"), proving),
        (hello("app.example", "acme-tls/1"), proving | {"challenge": "http-01"}),
        (hello("other.example", "acme-tls/1"), proving),
        (hello("app.example", "acme-tls/1"), {}),
    ):
        play(says(said), secures(), dials_any(), relays(said), **more)
    said = hello("pass.example", "acme-tls/1")  # whose target may prove it by itself
    play(says(said), takes(PASSED), dials_any(), relays(said), **proving)
