"""The auto conversation: every protocol on one port, told from its first bytes, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.outcomes import EndedBy, Phase, Reason
from penstock.config.plan import ListenerPlan, RoutePlan, TargetPlan
from penstock.connection.auto import auto
from penstock.connection.commands import Close, DialAny, Facts, Relay
from penstock.testing.playbook import closes, deadline_passes, dials, dials_any, hangs_up, hears, perform, relays, says
from penstock.testing.stage import improvise

FACTS = Facts("192.0.2.9", 5_000)
TARGETS = (TargetPlan(id=1, host="192.0.2.2", port=80),)
REFUSED = (EndedBy.PROXY, Phase.DETECT, Reason.PROTOCOL)
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
SOCKS5 = b"\x05\x01\0"
SOCKS4 = b"\x04\x01\0\x50\xc0\0\x02\x02\0"
HTTP = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"


def listener_of(detect, targets=TARGETS):
    """Return a listener where the words of `detect` are enabled."""
    return ListenerPlan(
        id=1,
        name="a",
        protocol="auto",
        host="127.0.0.1",
        port=1,
        route=RoutePlan(id=1, name="default", targets=targets),
        detect=tuple(detect.split()),
    )


def play(detect, *script, targets=TARGETS):
    """Perform a script on such a listener."""
    listener = listener_of(detect, targets)
    return perform(lambda: auto(FACTS, listener), *script)


def test_socks5_is_told():
    """A SOCKS5 greeting is answered, and the conversation goes on as on a SOCKS5 listener."""
    play("http socks5 tcp", says(SOCKS5), hears(b"\x05\0"), says(b"\x05\x01\0\x01\xc0\0\x02\x02\0\x50"),
         dials("192.0.2.2", 80), hears(b"\x05\0\0\x01\xc0\0\x02\x01\x9c\x40"), relays())  # fmt: skip


def test_socks4_is_told():
    """SOCKS4 goes with the word `socks5`."""
    play("http socks5", says(SOCKS4), dials("192.0.2.2", 80), hears(b"\0\x5a" + bytes(6)), relays())


def test_http_is_told():
    """A CONNECT is dialed, so the HTTP conversation has all the bytes that were looked at."""
    stage = play("http socks5 tcp", says(HTTP), dials("example.org", 443), hears(b"HTTP/1.1 200 "), hears_rest())
    assert stage.pending == Relay()


class hears_rest:  # noqa: N801 - a line of a script
    """The client hears the rest of a head, whatever it is."""

    def play(self, stage):
        """Claim it."""
        assert bytes(stage.sent).endswith(b"\r\n\r\n")
        stage.claim(len(stage.sent))


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"EHLO x\r\n", TLS, b"\x05\0", b"\0", b"get / http/1.0"])
def test_anything_else_goes_to_the_targets(said):
    """TLS and unknown bytes go to the targets, none of them taken."""
    play("http socks5 tcp", says(said), dials_any(), relays(leftover=said))


@pytest.mark.parametrize(("detect", "said"), [("http tcp", SOCKS5), ("http tcp", SOCKS4), ("socks5 tcp", HTTP)])
def test_what_is_not_enabled_goes_to_the_targets(detect, said):
    """A protocol that is not enabled is only bytes."""
    play(detect, says(said), dials_any(), relays(leftover=said))


@pytest.mark.parametrize(
    ("said", "name"), [(b"SSH-2.0-x\r\n", "tcp"), (TLS, "tls"), (SOCKS5, "socks5"), (SOCKS4, "socks4"), (b"\0", "tcp")]
)
def test_without_targets_it_is_refused(said, name):
    """Where raw bytes have nowhere to go the connection is refused, and the log says what they looked like."""
    play("http", says(said), closes(*REFUSED, detail=f"look like {name}"))
    play("http tcp", says(said), closes(*REFUSED, detail=f"look like {name}"), targets=())


@pytest.mark.parametrize("said", [b"", b"G", b"\x05", b"\x16\x03\x01"])
def test_silence_goes_to_the_targets(said):
    """A client that says nothing, or nothing that tells, by the deadline waits for a server that speaks first."""
    play("http socks5 tcp", says(said), deadline_passes(), dials_any(), relays(leftover=said))


@pytest.mark.parametrize("said", [b"", b"G", b"\x05"])
def test_silence_without_targets_is_a_timeout(said):
    """Where no server speaks first the client was late."""
    play("http socks5", says(said), deadline_passes(), closes(EndedBy.CLIENT_TIMEOUT, Phase.DETECT))
    play("http socks5", says(said), hangs_up(), closes(EndedBy.CLIENT, Phase.DETECT))


def test_a_client_that_closes_after_a_few_bytes_is_raw():
    """What it said may be all that its target waits for; a client that said nothing is just gone."""
    play("http socks5 tcp", says(b"PO"), hangs_up(), dials_any(), relays(leftover=b"PO"))
    play("http socks5 tcp", hangs_up(), closes(EndedBy.CLIENT, Phase.DETECT))


STARTS = st.sampled_from([b"", SOCKS5, SOCKS4, TLS, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST"])


@given(STARTS, st.binary(max_size=64), st.sampled_from(["http socks5 tcp", "socks5 tcp", "http socks5", "tcp"]))
def test_any_bytes_in_any_split_give_the_same_conversation(start, rest, detect):
    """Whole or byte by byte: the same words, the same questions, the same end; raw bytes arrive whole."""
    listener = listener_of(detect)
    data = start + rest
    whole = improvise(auto(FACTS, listener), [data])
    assert improvise(auto(FACTS, listener), [bytes([byte]) for byte in data]) == whole
    if whole.asked[0] == DialAny():
        assert whole.leftover == data
    if isinstance(whole.last_word, Close):
        assert whole.last_word.outcome.ended_by is not EndedBy.INTERNAL
