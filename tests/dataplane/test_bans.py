"""Tests of `penstock.dataplane.bans`."""

import os

import pytest

from penstock.base.addresses import pack_ip
from penstock.dataplane import ban_table
from penstock.dataplane.ban_table import KIND, TIME, USED, BanTable
from penstock.dataplane.bans import BY_HAND, LISTED, NONE, Bans, parse, serialize, take_packet
from penstock.node.bans.ranges import Span, columns_of, disjoint
from penstock.node.bans.writing import write
from penstock.policy.ranges import address_number, network_ranges

NOW = 1_000


def networks(*texts, until=2_000):
    """Return the descriptor of a table of networks."""
    some = [Span(first, last, until) for each in texts for first, last in network_ranges(each)]
    return write(columns_of(disjoint(some)))


@pytest.fixture
def fd():
    """Return the descriptor of an empty table of clients."""
    found = ban_table.create()
    yield found
    os.close(found)


def holds(bans, host):
    """Return whether a host is banned."""
    return bans.holds(pack_ip(host))


def test_a_client_is_banned_until_its_time_is_over(fd):
    """A ban ends at its time without anybody doing anything."""
    now = NOW
    bans = Bans((fd, -1, -1), lambda: now)
    BanTable(fd).put(address_number("192.0.2.1"), USED, 2_000)
    assert holds(bans, "192.0.2.1")
    assert not holds(bans, "192.0.2.2")
    now = 2_000
    assert not holds(bans, "192.0.2.1")


def test_ipv4_mapped_is_the_same_client(fd):
    """A client that comes over an IPv6 socket is banned as its IPv4 address."""
    BanTable(fd).put(address_number("192.0.2.1"), USED, TIME)
    assert holds(Bans((fd, -1, -1)), "::ffff:192.0.2.1")


def test_a_wide_ban_holds_for_64_bits_and_no_further(fd):
    """An IPv6 client has 2**64 addresses: a wide ban holds for all of them, an exact one for one."""
    table = BanTable(fd)
    table.put(address_number("2001:db8:0:1::"), KIND, TIME)
    table.put(address_number("2001:db8:0:3::"), USED, TIME)
    bans = Bans((fd, -1, -1))
    assert holds(bans, "2001:db8:0:1:ffff::9")
    assert holds(bans, "2001:db8:0:1::")
    assert not holds(bans, "2001:db8:0:2::9")
    assert holds(bans, "2001:db8:0:3::")
    assert not holds(bans, "2001:db8:0:3::1")


@pytest.mark.parametrize(
    ("host", "address", "kind"),
    [
        ("192.0.2.1", address_number("192.0.2.1"), USED),
        ("2001:db8:1:2::3", int.from_bytes(pack_ip("2001:db8:1:2::")), KIND),
        ("2001:db8:1:2::3", int.from_bytes(pack_ip("2001:db8:1:2::3")), USED),
        ("::3", int.from_bytes(pack_ip("::3")), USED),
    ],
)
def test_the_crowd_has_whoever_is_banned_by_itself(fd, host, address, kind):
    """A client's place in the crowd is empty before its ban, and not while it holds: whoever looks there asks again."""
    bans = Bans((fd, -1, -1), lambda: 1_000)
    place = bans.remainder(pack_ip(host))
    assert not bans.crowd[place]
    table = BanTable(fd)
    table.put(address, kind, 2_000)
    assert bans.crowd[place]
    assert holds(bans, host)
    table.remove(address, kind)
    assert not bans.crowd[place]
    table.close()
    bans.close()


def test_networks_are_swapped_while_it_serves(fd):
    """A new table of networks counts from the next look-up on, in its own place; none is a table, too."""
    one, two = networks("10.0.0.0/8"), networks("2001:db8::/32")
    bans = Bans((fd, one, -1), lambda: NOW)
    assert holds(bans, "10.1.2.3")
    assert take_packet(bans, LISTED, [two]) == ""
    assert holds(bans, "2001:db8::1")
    assert holds(bans, "10.1.2.3")
    assert take_packet(bans, BY_HAND, []) == ""
    assert not holds(bans, "10.1.2.3")
    os.close(one)


def test_networks_end_by_themselves(fd):
    """The time of a network is looked at, too."""
    table = networks("10.0.0.0/8", until=NOW)
    assert not holds(Bans((fd, table, -1), lambda: NOW), "10.1.2.3")
    os.close(table)


@pytest.mark.parametrize("place", [0, 1, 2, -1])
def test_a_table_that_is_none_changes_nothing(fd, place):
    """What came with an order and is no table is closed and told; what was banned stays banned."""
    one = networks("10.0.0.0/8")
    bans = Bans((fd, one, -1), lambda: NOW)
    bad = os.memfd_create("x")
    assert take_packet(bans, place, [bad]) != ""
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(bad)
    assert holds(bans, "10.1.2.3")
    os.close(one)


def test_unix_peers_are_never_banned(fd):
    """A client without an address is none that could be banned, whatever is."""
    everybody = networks("0.0.0.0/0", "::/0")
    assert not Bans((fd, everybody, -1), lambda: NOW).holds(bytes(16))
    os.close(everybody)


def test_without_tables_nobody_is_banned():
    """A worker that was given nothing bans nobody, and says that it could not."""
    bans = Bans()
    assert not bans
    assert not holds(bans, "192.0.2.1")
    bans.close()


@pytest.mark.parametrize("fds", [NONE, (3, -1, 12), (3, 4, 5)])
def test_descriptors_go_over_a_command_line(fds):
    """What a supervisor writes is what a worker reads, and no word of it looks like an option."""
    assert parse(serialize(fds)) == fds
    assert not serialize(fds).startswith("-")
