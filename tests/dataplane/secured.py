"""The relay's contract where clients speak TLS."""

import ssl

import pytest

from penstock.testing.relay_contract import RelayContract
from penstock.testing.tls_peers import TlsClient


class SecuredContract(RelayContract):
    """Bytes on the side of clients are those on the wire; `run` gives a bench that terminates TLS with `plan`."""

    test_urgent_data_loses_nothing = None  # TLS knows none

    @pytest.fixture(autouse=True)
    def _secured(self, authority, plan, version):
        """Certificates, and clients of one version."""
        self.plan, self.context = plan, authority.client_context()
        self.context.maximum_version = self.context.minimum_version = getattr(ssl.TLSVersion, version)

    def connect(self, plane):
        """Return a client that has shaken hands."""
        return TlsClient(plane.connect(), self.context, "localhost")

    def wire(self, client, sent, received):
        """Return what the client counted; nobody has cut it off."""
        assert not client.cut
        return client.sent, client.received
