"""Membership in networks."""

import pytest

from penstock.base.addresses import pack_ip
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
