"""Tests of `penstock.policy.protection`."""

import pytest

from penstock.policy.ban import parse_network
from penstock.policy.protection import LOOPBACK, Guarded, Protection

PROTECTION = Protection([*LOOPBACK, Guarded("192.0.2.1", "the default gateway"), Guarded("web.example", "a target")])


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("127.0.0.1", "127.0.0.0/8 is loopback"),
        ("126.0.0.0/7", "127.0.0.0/8 is loopback"),
        ("::1", "::1 is loopback"),
        ("::/0", "::1 is loopback"),
        ("0.0.0.0/0", "127.0.0.0/8 is loopback"),
        ("192.0.2.1", "192.0.2.1 is the default gateway"),
        ("192.0.2.0/24", "192.0.2.1 is the default gateway"),
        ("::ffff:192.0.2.1", "192.0.2.1 is the default gateway"),
        ("192.0.2.2", ""),
        ("2001:db8::/32", ""),
    ],
)
def test_what_holds_a_protected_address_is_refused_with_the_reason(network, why):
    """Neither a protected address nor a network around one can be banned; names are no addresses."""
    assert PROTECTION.refuses(parse_network(network)) == why
