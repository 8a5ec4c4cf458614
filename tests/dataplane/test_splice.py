"""The relay through kernel pipes."""

import pytest

from penstock.testing.relay_contract import RelayContract

from .piped import at_once


class TestKernelPipes(RelayContract):
    """The relay's contract, run against splice, with every flow counted as bulk from its first byte."""

    engine = "always"

    @pytest.fixture(autouse=True)
    def _all_flows_are_bulk(self, monkeypatch):
        at_once(monkeypatch)
