"""Tests of `penstock.node.bans.surroundings`."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.node.bans import surroundings
from penstock.node.bans.surroundings import GATEWAY, NAMES, OWN, look_around
from penstock.policy.protection import Guarded

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""
IF_INET6 = "fd000000000000000000000000000002 02 40 00 80     eth0\n"
ROUTE = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
)
IPV6_ROUTE = (
    f"{'0' * 32} 00 {'0' * 32} 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
    f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
)


def test_addresses_gateways_and_name_servers_are_found(tmp_path):
    """What the kernel's files say, each once."""
    for name, text in {
        "fib_trie": FIB_TRIE * 2,
        "if_inet6": IF_INET6,
        "route": ROUTE,
        "ipv6_route": IPV6_ROUTE,
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "resolv.conf").write_text("# x\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\noptions ndots:1\n")
    assert look_around(tmp_path, tmp_path / "resolv.conf") == [
        Guarded("192.0.2.7", OWN),
        Guarded("fd00::2", OWN),
        Guarded("192.0.2.1", GATEWAY),
        Guarded("fd00::1", GATEWAY),
        Guarded("192.0.2.53", NAMES),
        Guarded("fe80::1", NAMES),
    ]


def test_where_nothing_can_be_read_nothing_is_found(tmp_path):
    """A machine without such files protects what is configured."""
    assert look_around(tmp_path, tmp_path / "x") == []


@given(st.text(max_size=200))
def test_any_text_is_read(text):
    """Files that are not as expected make nothing fail."""
    for read in (
        surroundings.own_ipv4, surroundings.own_ipv6, surroundings.gateways_ipv4, surroundings.gateways_ipv6,
        surroundings.name_servers,
    ):  # fmt: skip
        list(read(text))
