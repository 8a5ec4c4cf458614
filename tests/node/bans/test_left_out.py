"""Who stands in a block list and is banned by nobody."""

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.node.bans.left_out import TOLD, in_words, left_out
from penstock.node.bans.lists import BlockList
from penstock.node.bans.parsing import parse_list
from penstock.policy.protection import LOOPBACK, Guarded, Protection


def listed(*lines):
    """Return a block list with these lines."""
    ranges, mistakes = parse_list("\n".join(lines).encode())
    assert not mistakes
    return BlockList("/list", "bad", ranges)


def test_loopback_and_targets_are_told():
    """Whole networks that hold one of them, and parts of a protected network."""
    protection = Protection([*LOOPBACK, Guarded("10.0.0.1", "a target of route web"), Guarded("2001:db8::/64", "mine")])
    one = listed("127.0.0.9", "10.0.0.0/8", "198.51.100.0/24", "2001:db8::/32")
    assert left_out(one, protection) == [
        "127.0.0.0/8 is loopback",
        "10.0.0.1 is a target of route web",
        "2001:db8::/64 is mine",
    ]
    assert left_out(listed("198.51.100.0/24", "2001:db9::/32"), protection) == []
    assert left_out(listed("# nobody"), protection) == []


NETWORKS = st.builds(
    lambda address, bits: str(ip_network((address, bits), strict=False)),
    st.integers(0x0A00_0000, 0x0A00_00FF).map(ip_address), st.integers(25, 32),
) | st.builds(
    lambda address, bits: str(ip_network((address, bits), strict=False)),
    st.integers(0x2001 << 112, (0x2001 << 112) + 255).map(ip_address), st.integers(121, 128),
)  # fmt: skip


@given(st.lists(NETWORKS, max_size=6), st.lists(NETWORKS, max_size=4, unique=True))
@settings(max_examples=200)
def test_it_is_what_overlaps(lines, guarded):
    """Whatever a list holds: those are named that share an address with one of its networks, and no others."""
    found = left_out(listed(*lines), Protection([Guarded(each, "mine") for each in guarded]))
    networks = [ip_network(each) for each in lines]
    wanted = [
        each for each in guarded
        if any(one.version == ip_network(each).version and one.overlaps(ip_network(each)) for one in networks)
    ]  # fmt: skip
    assert found == [f"{each} is mine" for each in wanted]


def test_a_line_stays_a_line():
    """However many there are."""
    said = in_words(f"n{number} is mine" for number in range(1_000))
    assert said.endswith(f", and {1_000 - TOLD} more")
    assert len(said) < 200
