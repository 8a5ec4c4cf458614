"""Tests of `penstock.config.tls_plan`."""

import msgspec

from penstock.config.tls_plan import HTTP_01, AcmePlan, CertificatePlan, TargetTlsPlan, TlsPlan


def test_what_nobody_wrote_is_safe():
    """Certificates of targets are verified, TLS begins with 1.2, and no certificate is asked for."""
    assert TargetTlsPlan().verify
    assert TlsPlan(certificates=()).min_version == "1.2"
    assert (AcmePlan().challenge, AcmePlan().certificates) == (HTTP_01, ())


def test_it_travels_as_json():
    """As all plans do."""
    plan = TlsPlan(certificates=(CertificatePlan(cert="a", key="b", names=("x.example",)),), alpn=("h2", "http/1.1"))
    assert msgspec.json.decode(msgspec.json.encode(plan), type=TlsPlan) == plan
