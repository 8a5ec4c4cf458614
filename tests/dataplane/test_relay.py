"""The relay with the shared buffer."""

import ssl

import pytest

from penstock.config.plan import TlsPlan
from penstock.testing.certificates import Authority
from penstock.testing.relay_contract import RelayContract
from penstock.testing.tls_peers import TlsClient
from penstock.testing.workbench import bench, listener


class TestSharedBuffer(RelayContract):
    """The relay's contract, run against recv and send."""

    engine = "never"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority with files of its own."""
    return Authority(tmp_path_factory.mktemp("relay"))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"], scope="class")
class TestTls(RelayContract):
    """The same contract where clients speak TLS, and bytes on their side are those on the wire."""

    test_urgent_data_loses_nothing = None  # TLS knows none

    @pytest.fixture(autouse=True)
    def _secured(self, authority, version):
        """Certificates, and clients of one version."""
        self.plan = TlsPlan(certificates=(authority.issue("localhost"),))
        self.context = authority.client_context()
        self.context.maximum_version = self.context.minimum_version = getattr(ssl.TLSVersion, version)

    def run(self, port, **more):
        """Return a bench that terminates TLS."""
        return bench(listener("main", "tcp", port, tls=self.plan), **more)

    def connect(self, plane):
        """Return a client that has shaken hands."""
        return TlsClient(plane.connect(), self.context, "localhost")

    def wire(self, client, sent, received):
        """Return what the client counted; nobody has cut it off."""
        assert not client.cut
        return client.sent, client.received
