"""The relay with the shared buffer."""

import pytest

from penstock.testing.relay_contract import RelayContract
from penstock.testing.workbench import bench, listener

from .secured import SecuredContract


class TestSharedBuffer(RelayContract):
    """The relay's contract, run against recv and send."""

    engine = "never"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"], scope="class")
class TestTls(SecuredContract):
    """The same contract where clients speak TLS, and bytes on their side are those on the wire."""

    def run(self, port, **more):
        """Return a bench that terminates TLS."""
        return bench(listener("main", "tcp", port, tls=self.plan), **more)
