"""TLVs: split and joined, found, and read as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol.tlv import TLV, ProxyProtocolTLV

from penstock.protocols.proxy_header import tlv
from penstock.protocols.proxy_header.tlv import Tlv, join_tlvs, split_tlvs

TLVS = st.lists(st.builds(Tlv, st.integers(0, 255), st.binary(max_size=300)), max_size=6).map(tuple)


@given(TLVS, st.binary(max_size=9), st.binary(max_size=9))
def test_pieces_come_back(tlvs, before, behind):
    """What was joined is split into the same, wherever it stands."""
    joined = join_tlvs(tlvs)
    assert split_tlvs(before + joined + behind, len(before), len(before) + len(joined)) == tlvs


@given(st.dictionaries(st.integers(0, 255), st.binary(max_size=99)))
def test_another_implementation_agrees(values):
    """proxy-protocol reads what we join, and we split what it packs."""
    ours = tuple(Tlv(*item) for item in sorted(values.items()))
    assert dict(TLV(join_tlvs(ours))) == values
    packed = bytes(TLV(init=values))
    assert split_tlvs(packed, 0, len(packed)) == ours


@given(TLVS.filter(bool))
def test_what_is_cut_short_is_none(tlvs):
    """No beginning of the last piece alone ends where it must."""
    joined, complete = join_tlvs(tlvs), len(join_tlvs(tlvs[:-1]))
    assert all(split_tlvs(joined, 0, end) is None for end in range(complete + 1, len(joined)))


def test_lengths_have_two_bytes():
    """65,535 bytes are the most, and are written so."""
    assert join_tlvs([Tlv(1, bytes(65_535))])[:3] == b"\x01\xff\xff"
    with pytest.raises(ValueError, match="0x01 has 65536 bytes"):
        join_tlvs([Tlv(1, bytes(65_536))])


def test_the_first_of_a_type_counts():
    """Of two pieces of one type the first is found, and None where there is none."""
    tlvs = (Tlv(tlv.NETNS, b"a"), Tlv(tlv.ALPN, b"h2"), Tlv(tlv.ALPN, b"h3"))
    assert tlv.find(tlvs, tlv.ALPN) == b"h2"
    assert tlv.find(tlvs, tlv.AUTHORITY) is None


def test_authority_is_text():
    """UTF-8 that can be shown; anything else is nobody's name. The other implementation reads the same."""
    assert tlv.authority((Tlv(tlv.AUTHORITY, "bücher.example".encode()),)) == "bücher.example"
    assert ProxyProtocolTLV(join_tlvs([Tlv(tlv.AUTHORITY, b"a.example")])).authority == "a.example"
    assert tlv.authority((Tlv(tlv.AUTHORITY, b"\xff"),)) is None
    assert tlv.authority((Tlv(tlv.AUTHORITY, b"a\nb"),)) is None
    assert tlv.authority(()) is None


def test_vpc_endpoints():
    """The id stands behind a byte that says so; other subtypes of Amazon's are not it."""
    found = (Tlv(tlv.AWS, b"\x02other"), Tlv(tlv.AWS, b"\x01vpce-08d2bf15fac5001c9"))
    assert tlv.vpc_endpoint(found) == "vpce-08d2bf15fac5001c9"
    assert tlv.vpc_endpoint(found[:1]) is None
    assert tlv.vpc_endpoint((Tlv(tlv.AWS, b""),)) is None
