"""The playbook: a right script passes in every way of splitting, and every wrong line fails and says why."""

import pytest

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.connection.commands import (
    Associate,
    Await,
    Bind,
    Bound,
    ClientClosed,
    Close,
    Datagrams,
    Describe,
    Dial,
    DialAny,
    Dialed,
    DialError,
    DialFailed,
    Exchange,
    Need,
    Peek,
    Relay,
    Send,
    Until,
)
from penstock.testing.playbook import (
    associates,
    awaits,
    binds,
    carries_datagrams,
    closes,
    deadline_passes,
    describes,
    dials,
    dials_any,
    exchanges,
    hangs_up,
    hears,
    perform,
    relays,
    says,
)
from penstock.testing.stage import BOUND, Mismatch


def greeter():
    """A small protocol: two bytes of hello, a line with a port, a dial, a relay."""
    yield Need(2)
    yield Send(b"hel")
    yield Send(b"lo")
    port = int((yield Until(b"\n", 16)))
    yield Describe(f"example.org:{port}")
    try:
        yield Dial("example.org", port)
    except DialFailed as failed:
        yield Send(b"no")
        yield Close(Outcome(EndedBy.TARGET, Phase.DIAL), str(failed))
    yield Send(b"ok")
    yield Relay()


REFUSED = DialFailed(DialError.REFUSED, "port 80 is shut")
GREETING = (says(b"hi"), hears(b"hello"), says(b"80\n"))


def test_right_script_passes():
    """The script of the docstring's kind plays in all ways, tail included."""
    stage = perform(greeter, *GREETING, describes("example.org:80"), dials("example.org", 80), hears(b"ok"), relays())
    assert stage.pending == Relay()


def test_what_is_heard_may_be_split_in_any_way():
    """Two sends may be one line, and one send two lines."""
    perform(
        greeter,
        says(b"hi"),
        hears(b"h"),
        hears(b"ello"),
        says(b"80\n"),
        dials("example.org", 80),
        hears(b"ok"),
        relays(),
    )


def test_early_bytes_are_leftover():
    """What was said behind the handshake is there for the relay, and must be named."""
    script = (says(b"hi80\nearly"), hears(b"hello"), dials("example.org", 80), hears(b"ok"))
    perform(greeter, *script, relays(leftover=b"early"))
    with pytest.raises(Mismatch, match="b'early' is what the client had sent early"):
        perform(greeter, *script, relays())


def test_failed_dial_is_thrown_in():
    """An exception as the answer is thrown into the conversation."""
    perform(
        greeter,
        *GREETING,
        dials("example.org", 80, REFUSED),
        hears(b"no"),
        closes(EndedBy.TARGET, Phase.DIAL, detail="shut"),
    )


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ((says(b"hi"), hears(b"goodbye")), r"line 2\n  expected: hears\(data=b'goodbye'\)\n  came:     .*b'hello'"),
        ((*GREETING, dials("example.com", 80)), "host is 'example.org', not 'example.com'"),
        ((*GREETING, dials("example.org", 443)), "port is 80, not 443"),
        ((*GREETING, dials_any()), r"expected: asks\(command=.*DialAny.*\n  came:     Dial\("),
        ((*GREETING, relays()), "came:     Dial"),
        ((*GREETING, describes("example.org:81")), "destination is 'example.org:80', not 'example.org:81'"),
        ((*GREETING, dials("example.org", 80), relays()), "was sent b'ok' before it"),
        ((*GREETING, dials("example.org", 80)), "after the script the client was sent b'ok'"),
        (GREETING, "has no answer"),
        ((says(b"hi"), dials("example.org", 80)), "came:     Until"),
        ((*GREETING, deadline_passes()), "nothing waited for the client"),
        (
            (*GREETING, dials("example.org", 80, REFUSED), hears(b"no"), closes(EndedBy.CLIENT, Phase.DIAL)),
            "outcome is ",
        ),
    ],
)  # fmt: skip
def test_wrong_scripts_fail_and_say_why(wrong, complaint):
    """A wrong line fails with what was expected and what came."""
    with pytest.raises(Mismatch, match=complaint):
        perform(greeter, *wrong)


def test_wrong_detail_fails():
    """The log line is compared where the script gives one."""

    def ends():
        yield Close(COMPLETE, "all is well")

    perform(ends, closes(EndedBy.COMPLETE, Phase.DONE, detail="well"))
    with pytest.raises(Mismatch, match="its detail is 'all is well'"):
        perform(ends, closes(EndedBy.COMPLETE, Phase.DONE, detail="ill"))


def test_a_conversation_that_depends_on_the_split_fails():
    """Byte by byte is played too: who reads more than the count of a peek is found out."""

    def careless():
        head = yield Peek(1)
        yield Send(b"?" if head == b"GET" else b"!")
        yield Relay()

    with pytest.raises(Mismatch, match="byte by byte"):
        perform(careless, says(b"GET"), hears(b"?"), relays(leftover=b"GET"))


def test_a_conversation_that_swallows_early_bytes_fails():
    """The tail is played too: who takes what belongs to the relay is found out."""

    def greedy():
        head = yield Peek(2)
        yield Need(len(head))
        yield Relay()

    with pytest.raises(Mismatch, match="with a tail"):
        perform(greedy, says(b"hi"), relays())


def test_a_conversation_that_waits_for_a_pause_fails():
    """All at once is played too: who takes early bytes for an error is found out."""

    def impatient():
        yield Need(2)
        yield Send(b"hello")
        again = yield Peek(1)
        yield Need(1)
        yield Send(b"one at a time" if len(again) > 1 else b"well")
        yield Close(COMPLETE)

    script = (says(b"hi"), hears(b"hello"), says(b"."), hears(b"well"), says(b"bye"), closes(*COMPLETE))
    with pytest.raises(Mismatch, match="all at once"):
        perform(impatient, *script)


def test_closing_and_deadlines_end_by_default():
    """A conversation that lets them escape ends in the phase of the command that waited."""
    perform(greeter, says(b"h"), hangs_up(), closes(EndedBy.CLIENT, Phase.NEGOTIATE))
    perform(greeter, deadline_passes(), closes(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE))
    perform(
        greeter, says(b"hi"), hears(b"hello"), says(b"8" * 16), closes(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)
    )


def test_tail_comes_after_a_deadline_where_there_is_one():
    """With a deadline in the script the tail arrives behind it, or it would keep the deadline from passing."""

    def patient():
        try:
            yield Peek(1)
            yield Close(COMPLETE)
        except ClientClosed:
            yield Close(COMPLETE)
        except BaseException:
            yield DialAny()
            yield Relay()

    perform(patient, deadline_passes(), dials_any(), relays())


def test_every_kind_of_command_has_a_line():
    """Binds, awaits, associations and datagrams are expected, answered and compared."""

    def binding():
        bound = yield Bind("192.0.2.7", 21)
        yield Send(str(bound.port).encode())
        dialed = yield Await()
        yield Send(dialed.remote_host.encode())
        yield Relay()

    def associating():
        yield Associate("0.0.0.0", 0)
        yield Datagrams()

    perform(
        binding,
        binds("192.0.2.7", 21, Bound("192.0.2.1", 999)),
        hears(b"999"),
        awaits(Dialed("a", 1, "b", 2)),
        hears(b"b"),
        relays(),
    )
    perform(associating, associates("0.0.0.0", 0), carries_datagrams())
    with pytest.raises(Mismatch, match="host is"):
        perform(associating, associates("::", 0, BOUND), carries_datagrams())


def test_exchange_takes_its_body_past_the_conversation():
    """The engine streams a body itself: the script says what it takes, and what is left is the next head."""

    def requests():
        while True:
            head = yield Until(b"\n", 64)
            again = yield Exchange("a", 80, head, None, b"POST", True, False, False)
            if not again:
                yield Close(COMPLETE)

    first = exchanges(True, body=b"body", host="a", head=b"one\n")
    perform(requests, says(b"one\nbody"), first, says(b"two\n"), exchanges(False, head=b"two\n"), closes(*COMPLETE))
    with pytest.raises(Mismatch, match="had not sent that body"):
        perform(requests, says(b"one\nbo"), first)
    with pytest.raises(Mismatch, match="head is b'one"):
        perform(requests, says(b"one\n"), exchanges(head=b"other\n"))
