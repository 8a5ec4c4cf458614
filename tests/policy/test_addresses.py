"""The order in which the addresses of a name are tried."""

from socket import AF_INET, AF_INET6

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.addresses import interleave

addresses = st.lists(st.tuples(st.sampled_from([AF_INET, AF_INET6]), st.text(max_size=3)), unique=True)


def test_families_take_turns():
    """RFC 8305 section 4: after an address of one family comes one of the other, while there is one."""
    six = [(AF_INET6, "::1"), (AF_INET6, "::2"), (AF_INET6, "::3")]
    four = [(AF_INET, "192.0.2.1")]
    assert interleave([*six, *four]) == [six[0], four[0], six[1], six[2]]
    assert interleave([*four, *six]) == [four[0], *six]


@given(addresses)
def test_none_is_lost_and_each_family_keeps_its_order(found):
    """Interleaving changes only how the families mix, and the system's first choice stays first."""
    mixed = interleave(found)
    assert mixed[:1] == found[:1]
    for family in (AF_INET, AF_INET6):
        assert [a for a in mixed if a[0] == family] == [a for a in found if a[0] == family]
