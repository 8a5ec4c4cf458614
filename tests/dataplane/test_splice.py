"""The relay through kernel pipes."""

import pytest

from penstock.dataplane import splice
from penstock.testing.relay_contract import RelayContract


class TestKernelPipes(RelayContract):
    """The relay's contract, run against splice, with every flow counted as bulk."""

    engine = "always"

    @pytest.fixture(autouse=True)
    def _all_flows_are_bulk(self, monkeypatch):
        monkeypatch.setattr(splice, "BULK_BYTES", 0)
