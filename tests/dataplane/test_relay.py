"""The relay with the shared buffer."""

import pytest

from penstock.testing.relay_contract import RelayContract
from penstock.testing.workbench import bench, listener

from .piped import at_once
from .secured import SecuredContract, TlsTargets


class TestSharedBuffer(RelayContract):
    """The relay's contract, run against recv and send."""

    engine = "never"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"], scope="class")
class TestTls(SecuredContract):
    """The same contract where clients speak TLS, and bytes on their side are those on the wire."""

    def run(self, port, **more):
        """Return a bench that terminates TLS."""
        return bench(listener("main", "tcp", port, tls=self.plan), **more)


@pytest.mark.parametrize("engine", ["never", "always"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"], scope="class")
class TestTlsToTargets(TlsTargets, RelayContract):
    """The same contract where targets alone speak TLS: even where every flow is bulk, what goes there is in records."""

    @pytest.fixture(autouse=True)
    def _engine(self, monkeypatch, engine):
        self.engine = engine
        at_once(monkeypatch)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"], scope="class")
class TestTlsOnBothSides(TlsTargets, SecuredContract):
    """The same contract where both ends speak TLS."""
