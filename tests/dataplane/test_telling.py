"""Commands that are answered at once, and what they leave behind."""

from penstock.connection.commands import Answer, Describe, Login, Relay, Send, Take, TurnAway
from penstock.dataplane.connection import HANDLERS
from penstock.dataplane.telling import AT_ONCE, hear_out
from penstock.testing.http_peers import Wire, ok, origin, request
from penstock.testing.workbench import bench, listener


def test_what_is_answered_at_once():
    """These commands ask nothing of anybody, and the engine knows them as it knows the others."""
    assert set(AT_ONCE) == {Send, Answer, Describe, Login, Take, TurnAway}
    assert all(HANDLERS[kind] is act for kind, act in AT_ONCE.items())


def test_last_words():
    """A conversation that has said its last word may return; what one says that does not, nobody hears."""
    ends = []

    def talk(*more):
        try:
            yield Relay()
            yield from more
            ends.append("returned")
        finally:
            ends.append("over")

    for more in ((), (Send(b"x"), Send(b"y"))):
        conversation = talk(*more)
        next(conversation)
        hear_out(conversation)
        conversation.close()
    assert ends == ["returned", "over", "over"]


def test_destination_is_described_once():
    """The ledger learns a destination when it is told for the first time, and again when it has changed."""
    with origin(lambda *_: ok(b"x")) as target, bench(listener("main", "http")) as plane, Wire(plane.connect()) as wire:
        told = []
        for host in ("127.0.0.1", "127.0.0.1", "localhost", "localhost"):
            wire.send(request("GET", f"http://{host}:{target.port}/"))
            assert wire.read_message().status == 200
            told.append(plane.settled().texts[0])
        assert told == [f"{host}:{target.port}" for host in ("127.0.0.1", "127.0.0.1", "localhost", "localhost")]
