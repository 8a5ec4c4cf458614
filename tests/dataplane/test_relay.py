"""The relay with the shared buffer."""

from penstock.testing.relay_contract import RelayContract


class TestSharedBuffer(RelayContract):
    """The relay's contract, run against recv and send."""

    engine = "never"
