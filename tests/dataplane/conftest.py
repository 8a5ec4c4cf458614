"""What the tests of the data plane share: certificates, a reactor with its clock, and a port where nobody listens."""

import contextlib
import socket

import pytest

from penstock.config.tls_plan import TlsPlan
from penstock.dataplane.reactor import Reactor
from penstock.testing.certificates import Authority
from penstock.testing.clock import ManualClock


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority with files of its own."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def plan(authority):
    """TLS with one certificate."""
    return TlsPlan(certificates=(authority.issue("localhost"),))


@pytest.fixture
def clock():
    """A clock moved by hand."""
    return ManualClock()


@pytest.fixture
def crashes():
    """What the reactor was told to report."""
    return []


@pytest.fixture
def reactor(clock, crashes):
    """A reactor on that clock."""
    found = Reactor(lambda owner, error: crashes.append((owner, error)), clock.monotonic_ns)
    yield found
    with contextlib.suppress(OSError):
        found.close()


@pytest.fixture
def closed_port():
    """A port of 127.0.0.0/8 where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
