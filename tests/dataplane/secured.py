"""The relay's contract where clients, targets or both speak TLS."""

import contextlib
import ssl

import pytest
from msgspec.structs import replace

from penstock.config.tls_plan import TargetTlsPlan
from penstock.testing.peers import serving
from penstock.testing.relay_contract import RelayContract
from penstock.testing.tls_peers import TlsClient
from penstock.testing.workbench import bench, listener, wait_for


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


class TlsTargets:
    """Targets that speak TLS; bytes on their side are those on the wire."""

    test_urgent_data_loses_nothing = None  # TLS knows none
    test_urgent_data_of_the_target_loses_nothing = None

    @pytest.fixture(autouse=True)
    def _targets(self, authority, plan, version):
        """A certificate, and targets of one version."""
        self.way = TargetTlsPlan(ca=authority.file, server_name="localhost")
        self.accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.accepting.load_cert_chain(plan.certificates[0].cert, plan.certificates[0].key)
        self.accepting.maximum_version = self.accepting.minimum_version = getattr(ssl.TLSVersion, version)
        self.peers, self.done = [], []

    def serving(self, behave):
        """Return a target that shakes hands first."""

        def in_tls(sock):
            peer = TlsClient(sock, self.accepting, None)
            self.peers.append(peer)
            with contextlib.suppress(OSError):
                behave(peer)
            self.done.append(peer)

        return serving(in_tls)

    def run(self, port, **more):
        """Return a bench that speaks TLS with its target."""
        plan = listener("main", "tcp", port, tls=getattr(self, "plan", None))
        return bench(replace(plan, route=replace(plan.route, target_tls=self.way)), splice=self.engine, **more)

    def target_wire(self, sent, received):
        """Return what the target counted; nobody has cut it off."""
        peer = self.peers[-1]
        wait_for(lambda: peer in self.done, "the target to be done")
        assert not peer.cut
        return peer.sent, peer.received
