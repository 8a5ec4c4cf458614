"""How a certificate is published."""

import msgspec

from penstock.metrics.certificates import CertificateView


def test_a_view_goes_out_as_json_and_comes_back():
    """Every field of it, null for what there is not."""
    view = CertificateView(
        name="a.example.com", names=("a.example.com",), source="acme", file="/s/a.pem", issuer="", not_after=None,
        not_after_s=0, state="pending",
    )  # fmt: skip
    data = msgspec.json.encode(view)
    assert msgspec.json.decode(data, type=CertificateView) == view
    assert b'"not_after":null' in data
