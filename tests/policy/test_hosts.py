"""Patterns of host names: found by dict, compared with asking each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.hosts import HostIndex, covers, fold, matches, specificity

LABELS = st.sampled_from("abc")
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PATTERNS = NAMES | NAMES.map("*.".__add__) | st.just("*")


@given(st.sets(PATTERNS), NAMES | st.just(""))
def test_finding_is_asking_each(patterns, host):
    """The index finds what matches, each once, and the most specific first."""
    found = HostIndex({pattern: pattern for pattern in patterns}).find(host)
    assert sorted(found) == sorted(pattern for pattern in patterns if matches(pattern, host))
    assert found == sorted(found, key=specificity, reverse=True)


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("example.org", "example.org", True),
        ("example.org", "www.example.org", False),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", ".example.org", False),
        ("*.example.org", "badexample.org", False),
        ("*", "example.org", True),
        ("*", "", True),
        ("192.0.2.1", "192.0.2.1", True),
    ],
)
def test_what_patterns_mean(pattern, host, expected):
    """A suffix stands for one label or more before it, `*` for all, and for no name too."""
    assert matches(pattern, host) is expected
    assert bool(HostIndex({pattern: 1}).find(host)) is expected


@given(PATTERNS, PATTERNS, NAMES)
def test_who_covers_matches_all_that_the_other_does(pattern, other, host):
    """No host tells against it."""
    if covers(pattern, other) and matches(other, host):
        assert matches(pattern, host)


@pytest.mark.parametrize(
    ("pattern", "other", "expected"),
    [
        ("*", "*", True),
        ("*", "*.a", True),
        ("*.a", "*", False),
        ("*.a", "*.a", True),
        ("*.a", "*.b.a", True),
        ("*.b.a", "*.a", False),
        ("*.a", "b.a", True),
        ("*.a", "a", False),
        ("*.a", "*.ba", False),
        ("a", "a", True),
        ("a", "*.a", False),
    ],
)
def test_what_covers(pattern, other, expected):
    """A suffix covers longer ones of its own, and names under it."""
    assert covers(pattern, other) is expected


def test_one_spelling():
    """Upper case and the root's dot make no other host."""
    assert fold("WWW.Example.ORG.") == "www.example.org"


def test_a_client_cannot_make_it_look_long():
    """As many labels are looked at as the longest suffix has."""

    class Counted(str):
        looks = 0

        def rfind(self, *given):
            Counted.looks += 1
            return super().rfind(*given)

    assert HostIndex({"*.b.c": 1}).find(Counted("a." * 120 + "b.c")) == [1]
    assert Counted.looks == 2
