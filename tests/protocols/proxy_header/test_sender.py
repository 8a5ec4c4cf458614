"""What a sender writes is what the serializers write, made in advance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.addresses import Endpoint, unmap
from penstock.protocols.proxy_header.header import describe
from penstock.protocols.proxy_header.parse import parse
from penstock.protocols.proxy_header.sender import Sender
from penstock.protocols.proxy_header.v1 import serialize_v1
from penstock.protocols.proxy_header.v2 import serialize_v2

HOSTS = st.ip_addresses().map(str).map(unmap) | st.sampled_from(("-", "::", "0.0.0.0", "unix:", "unix:/run/x"))
ENDS = st.builds(Endpoint, HOSTS, st.integers(0, 65_535))


@given(ENDS, ENDS)
def test_it_writes_what_the_serializers_write(source, destination):
    """For every pair of ends, of one family or not, in both versions."""
    header = describe(source, destination)
    assert Sender(destination, 1).serialize(*source) == serialize_v1(header)
    assert Sender(destination, 2).serialize(*source) == serialize_v2(header)


@pytest.mark.parametrize("version", [1, 2])
def test_one_sender_serves_all_clients(version):
    """It remembers nothing of the client before."""
    sender = Sender(Endpoint("192.0.2.9", 443), version)
    for host in ("192.0.2.1", "2001:db8::1", "192.0.2.1"):
        assert parse(sender.serialize(host, 5)).header.source == Endpoint(host, 5)
