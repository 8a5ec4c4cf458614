"""The relay's contract can be broken: an engine that cheats fails it."""

import pytest

from penstock.dataplane.relay import End
from penstock.testing.relay_contract import RelayContract


def test_a_relay_that_miscounts_fails(monkeypatch):
    """An engine that counts a byte too many for what it received is found out."""
    honest = End.ready

    def ready(self, fd, mask):
        self.connection.worker.words[self.rx] += 1
        honest(self, fd, mask)

    monkeypatch.setattr(End, "ready", ready)
    with pytest.raises(AssertionError):
        RelayContract().test_echo_of_any_size_is_exact()


def test_a_relay_that_forgets_the_end_fails(monkeypatch):
    """An engine that does not pass an end of file on is found out."""
    monkeypatch.setattr(End, "shut_down", lambda self: self.connection.finish())
    with pytest.raises((AssertionError, ConnectionError)):
        RelayContract().test_half_close_leaves_the_other_direction_open()
