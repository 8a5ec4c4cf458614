"""Tests of `penstock.dataplane.ban_table`."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.dataplane import ban_table
from penstock.dataplane.ban_table import (
    BANS,
    FULL,
    H_EXACT,
    H_FACTOR_HIGH,
    H_FACTOR_LOW,
    H_LIVE,
    KIND,
    TIME,
    USED,
    BanTable,
    remainder_of,
)


@pytest.fixture
def table():
    """Return an empty table."""
    fd = ban_table.create()
    found = BanTable(fd)
    yield found
    found.close()
    os.close(fd)


ADDRESSES = st.integers(0, 40).map(lambda n: n << 100)
ORDERS = st.lists(st.tuples(ADDRESSES, st.sampled_from([USED, KIND]), st.sampled_from([0, 4, 400, TIME])), max_size=120)


@settings(max_examples=60)
@given(ORDERS, st.booleans())
def test_it_answers_like_a_dictionary(orders, clash):
    """After any bans and liftings, where all addresses clash or none, each address has its last ban, and no other."""
    fd = ban_table.create()
    if clash:  # a factor of 2**100 sends all of these addresses to one slot
        with open(fd, "r+b", closefd=False) as file:
            file.seek(H_FACTOR_HIGH * 8)
            file.write((1 << 36).to_bytes(8, "little") + bytes(8))
    table, model = BanTable(fd), {}
    for address, kind, until in orders:
        if until:
            assert table.put(address, kind, until)
            model[address, kind] = until
        else:
            assert table.remove(address, kind) == (model.pop((address, kind), None) is not None)
    for number in range(42):
        for kind in (USED, KIND):
            assert table.until(number << 100, kind) == model.get((number << 100, kind), 0)
        assert table.until_ipv6(number << 36, 0) == max(model.get((number << 100, kind), 0) for kind in (USED, KIND))
    assert table.words[H_LIVE] == len(model)
    assert table.words[H_EXACT] == sum(kind == USED for _, kind in model)
    assert sum(table.crowd) == len(model)
    assert all(table.crowd[remainder_of(address)] for address, _ in model)
    table.close()
    os.close(fd)


def test_what_was_lifted_leaves_no_trace_when_nothing_stands_behind_it(table):
    """Slots that are freed are free again: look-ups do not get longer with every ban that ever was."""
    for number in range(1, 2_000):
        assert table.put(number, USED, TIME)
    for number in range(1, 2_000):
        assert table.remove(number, USED)
    assert not any(table.words.tolist()[ban_table.HEADER_WORDS + ban_table.MARK :: ban_table.SLOT_WORDS])


def test_a_full_table_says_so_and_keeps_what_it_has(table):
    """As many as are promised fit, one more does not, and after one is lifted it does."""
    for number in range(BANS):
        assert table.put((number + 1) << 32, USED, TIME)
    assert not table.put(7, USED, TIME)
    assert table.put(1 << 32, USED, 400)  # one that is there may change
    assert table.until(1 << 32, USED) == 400
    assert table.remove(2 << 32, USED)
    assert table.put(7, USED, TIME)
    assert all(table.until((number + 1) << 32, USED) for number in range(2, BANS))


def test_a_crowd_that_a_byte_cannot_count_is_looked_behind_for_ever(table):
    """More bans of one remainder than a byte can say: lifting some of them hides none of the others."""
    hosts = [(0x2001_0DB8 << 96) + number for number in range(300)]
    for host in hosts:
        assert table.put(host, USED, TIME)
    for host in hosts[:-1]:
        assert table.remove(host, USED)
    assert table.crowd[remainder_of(hosts[-1])] == FULL
    assert table.until_ipv6(hosts[-1] >> 64, hosts[-1] & (1 << 64) - 1) == TIME


def test_places_follow_from_a_secret():
    """Two tables have two factors, so nobody can choose addresses that clash."""
    one, two = (BanTable(ban_table.create()) for _ in range(2))
    assert [one.words[n] for n in (H_FACTOR_HIGH, H_FACTOR_LOW)] != [
        two.words[n] for n in (H_FACTOR_HIGH, H_FACTOR_LOW)
    ]


@pytest.mark.parametrize("size", [0, 4_096, ban_table.SIZE])
def test_what_is_no_table_is_refused(size):
    """A descriptor of anything else is told, not read."""
    fd = os.memfd_create("x")
    os.ftruncate(fd, size)
    with pytest.raises(ValueError, match="not a table of bans"):
        BanTable(fd)
    os.close(fd)
