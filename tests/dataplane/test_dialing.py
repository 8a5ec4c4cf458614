"""A connection reaches its target, goes on to another, or tells that there is none."""

import socket

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase
from penstock.metrics import ledger
from penstock.testing.http_peers import Wire
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.socks_peers import CONNECT, ask
from penstock.testing.workbench import bench, listener


def test_another_target_is_dialed_where_one_refuses():
    """A connection whose first target refuses is served by the next one, and its row says how long the dial took."""
    with socket.socket() as nobody, serving(echo) as target:
        nobody.bind(("127.0.0.1", 0))
        with bench(listener("main", "tcp", nobody.getsockname()[1], target.port)) as plane:
            for _ in range(2):  # in turn: one of them begins at the dead one
                with plane.connect() as client:
                    client.sendall(b"well")
                    client.shutdown(socket.SHUT_WR)
                    assert read_all(client) == b"well"
            assert [each.outcome for each in plane.ended(2)] == [COMPLETE] * 2
            bases = range(ledger.HEADER_WORDS, ledger.HEADER_WORDS + 2 * ledger.ROW_WORDS, ledger.ROW_WORDS)
            assert all(plane.words[base + ledger.DIALED] > 0 for base in bases)


def test_no_target_is_a_failed_dial():
    """A connection that nobody takes ends in the phase of the dial, by its target."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with bench(listener("main", "tcp", nobody.getsockname()[1])) as plane:
            with plane.connect() as client:
                assert read_all(client) == b""
            assert plane.ended()[0].outcome == Outcome(EndedBy.TARGET, Phase.DIAL)


def test_a_conversation_hears_where_it_was_led():
    """A SOCKS client that asks for an address is told that the target connection stands."""
    with serving(echo) as target, bench(listener("main", "socks5")) as plane, plane.connect() as client:
        assert ask(Wire(client), CONNECT, "127.0.0.1", target.port).code == 0
