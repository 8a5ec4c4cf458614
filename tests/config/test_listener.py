"""A listener as it is written: its short forms and its defaults."""

import pytest
from pydantic import ValidationError

from penstock.config.listener import Certificate, Listener, ListenerTls
from penstock.config.plan import ListenerPlan
from penstock.config.tls_plan import TlsPlan


def test_a_certificate_may_be_text():
    """One file may hold certificate and key."""
    assert Certificate.model_validate("a.pem") == Certificate.model_validate({"cert": "a.pem"})
    with pytest.raises(ValidationError):
        Certificate.model_validate(5)


def test_defaults_are_those_of_the_plan():
    """What nobody wrote is what the plan has for it."""
    written = Listener.model_validate({"listen": ":443", "protocol": "tls"})
    plan = ListenerPlan(id=1, name="x", protocol="tls", host="::", port=443)
    assert (written.accept_proxy, written.inside or "tcp") == (plan.accept_proxy, plan.inside)
    tls, meant = ListenerTls(), TlsPlan(certificates=())
    for name in ("min_version", "client_certificates", "tickets"):
        assert getattr(tls, name) == getattr(meant, name)
