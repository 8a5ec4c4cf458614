"""Membership in networks."""

from ipaddress import IPv4Address

import pytest

from penstock.base.addresses import pack_ip
from penstock.policy import networks as module
from penstock.policy.networks import Networks


def test_membership():
    """Addresses in any of the networks are members; IPv4 and its IPv4-mapped form are one; names are never."""
    networks = Networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "192.0.2.7"):
        assert host in networks
        assert networks.holds(pack_ip(host))
    for host in ("11.0.0.1", "192.0.2.8", "2001:db9::1", "-", "localhost", "::"):
        assert host not in networks
        assert not networks.holds(pack_ip(host))
    assert "10.0.0.1" not in Networks([])
    with pytest.raises(ValueError, match="nonsense"):
        Networks(["nonsense"])


def test_few_answers_are_remembered(monkeypatch):
    """However many addresses ask, and however often, each gets its answer, and memory is bounded."""
    monkeypatch.setattr(module, "KNOWN", 3)
    networks = Networks(["0.0.0.4/30"])
    for _ in range(2):
        for number in range(16):
            packed = pack_ip(str(IPv4Address(number)))
            assert networks.holds(packed) == networks.holds(packed) == (4 <= number < 8)
            assert len(networks._known) <= 3
