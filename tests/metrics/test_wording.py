"""What a row says is told in words that fit a terminal and a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.metrics.fold import LedgerReader
from penstock.metrics.wording import LOST, client_of, outcome_of, parse_texts, went_wrong
from penstock.testing.pen import Pen


@pytest.mark.parametrize(
    ("outcome", "wrong"),
    [
        (COMPLETE, False),
        (Outcome(EndedBy.CLIENT, Phase.NEGOTIATE), False),
        (Outcome(EndedBy.CLIENT, Phase.NEGOTIATE, Reason.PROTOCOL), True),
        (Outcome(EndedBy.TARGET, Phase.RELAY), False),
        (Outcome(EndedBy.TARGET, Phase.DIAL), True),
        (Outcome(EndedBy.ADMIN, Phase.DRAIN), False),
        (Outcome(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE), True),
        (Outcome(EndedBy.INTERNAL, Phase.RELAY), True),
        (Outcome(EndedBy.RESOURCE, Phase.DIAL), True),
    ],
)
def test_what_went_wrong(outcome, wrong):
    """Refusals, failures and timeouts are worth a line; ends that somebody wanted are not."""
    assert went_wrong(outcome) is wrong


@given(st.integers(0, 2**64 - 1))
def test_any_outcome_word_reads(word):
    """A word that no outcome packs to reads as internal; every other one as itself."""
    outcome = outcome_of(word)
    assert outcome == LOST or outcome.pack() == word


@given(st.binary(max_size=400))
def test_any_text_is_fit_for_a_terminal(raw):
    """Whatever bytes a client chose, what is shown holds no control character and no escape sequence."""
    assert all(text.isprintable() for text in parse_texts(raw))


def test_clients_are_written_as_operators_write_them():
    """IPv4, IPv6 and Unix clients read as `ip:port`, `[ip]:port` and `-`."""
    pen = Pen(rows=8)
    for client in (("192.0.2.1", 80), ("2001:db8::1", 443), ("-", 0)):
        pen.open(client=client)
    reader = LedgerReader(pen.fd, 1)
    assert [client_of(words) for words in reader.fold().rows.words] == ["192.0.2.1:80", "[2001:db8::1]:443", "-"]
    pen.close()
