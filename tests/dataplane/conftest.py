"""What the tests of the data plane share: certificates, and a port where nobody listens."""

import socket

import pytest

from penstock.config.tls_plan import TlsPlan
from penstock.testing.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority with files of its own."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def plan(authority):
    """TLS with one certificate."""
    return TlsPlan(certificates=(authority.issue("localhost"),))


@pytest.fixture
def closed_port():
    """A port of 127.0.0.0/8 where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
