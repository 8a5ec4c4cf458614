"""Outcomes are closed lists that fit into one ledger word."""

import itertools
import re
from pathlib import Path

import pytest

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason, unpack

ALL = [Outcome(*parts) for parts in itertools.product(EndedBy, Phase, [None, *Reason])]
CLOSE_REASONS = {"normal", "client_closed", "target_closed", "timeout", "error", "zombie", "limit", "shutdown"}
WORDS = Path(__file__).parents[2] / "docs" / "words.md"


def test_every_outcome_survives_its_word():
    """Each of all outcomes is packed into a word of its own, never zero, and comes back from it."""
    words = [outcome.pack() for outcome in ALL]
    assert [unpack(word) for word in words] == ALL
    assert len(set(words)) == len(ALL)
    assert 0 < min(words) <= max(words) < 1 << 24


@pytest.mark.parametrize(
    "word", [0, 1, 1 << 8, 0xFF | 1 << 8, 1 | 0xFF << 8, 1 | 1 << 8 | 15 << 16, -1, 1 << 63], ids=hex
)
def test_other_words_are_refused(word):
    """A word that no outcome packs to is an error, not some outcome."""
    with pytest.raises(ValueError, match=r"."):
        unpack(word)


def test_every_outcome_is_published_as_one_of_eight_words():
    """Each outcome has a close reason from the closed list, and each word of the list is used."""
    assert {outcome.close_reason for outcome in ALL} == CLOSE_REASONS


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (COMPLETE, "normal"),
        (Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH), "error"),
        (Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.RATE_LIMIT), "limit"),
        (Outcome(EndedBy.RESOURCE, Phase.DIAL), "limit"),
        (Outcome(EndedBy.TARGET_TIMEOUT, Phase.DIAL), "timeout"),
        (Outcome(EndedBy.ADMIN, Phase.DRAIN), "shutdown"),
    ],
)
def test_close_reasons(outcome, word):
    """A limit is told apart from other refusals; the rest follows from who ended it."""
    assert outcome.close_reason == word


def test_the_page_of_words_knows_them_all():
    """docs/words.md explains every word of the three lists, with the close reason that the code gives it."""
    page = WORDS.read_text()
    named = set(re.findall(r"[a-z_]+", page))
    assert {str(reason) for reason in Reason} | {phase.name.lower() for phase in Phase} <= named
    for who in EndedBy:
        row = re.search(rf"^\| `{who.name.lower()}` \|.*\| (.+) \|$", page, re.M)
        assert row, who
        assert f"`{Outcome(who, Phase.DONE).close_reason}`" in row[1]
