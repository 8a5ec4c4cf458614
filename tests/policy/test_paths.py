"""Patterns of paths: found by bisection, compared with asking each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.paths import PathIndex, covers, matches, specificity

PATHS = st.text("/ab\uffff", max_size=5).map("/".__add__)
PATTERNS = PATHS | PATHS.map(lambda path: path + "*") | st.just("*")


@given(st.sets(PATTERNS), PATHS | st.just(""))
def test_finding_is_asking_each(patterns, path):
    """The index finds what matches, each once, and the most specific first."""
    found = PathIndex({pattern: pattern for pattern in patterns}).find(path)
    assert sorted(found) == sorted(pattern for pattern in patterns if matches(pattern, path))
    assert list(found) == sorted(found, key=specificity, reverse=True)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/api", "/api", True),
        ("/api", "/api/", False),
        ("/api/*", "/api/", True),
        ("/api/*", "/api/v1/users", True),
        ("/api/*", "/api", False),
        ("/api*", "/apis", True),
        ("/*", "/", True),
        ("/*", "", False),
        ("*", "", True),
        ("/api/*", "/API/", False),
    ],
)
def test_what_patterns_mean(pattern, path, expected):
    """Letter by letter; the star stands for any rest, and alone for what has no path too."""
    assert matches(pattern, path) is expected
    assert bool(PathIndex({pattern: 1}).find(path)) is expected


@given(PATTERNS, PATTERNS, PATHS)
def test_who_covers_matches_all_that_the_other_does(pattern, other, path):
    """No path tells against it."""
    if covers(pattern, other) and matches(other, path):
        assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "other", "expected"),
    [
        ("*", "*", True),
        ("*", "/a", True),
        ("/*", "*", False),
        ("/a/*", "/a/b/*", True),
        ("/a/b/*", "/a/*", False),
        ("/a/*", "/a/", True),
        ("/a/", "/a/*", False),
        ("/a", "/a", True),
        ("/a/*", "/a/*", True),
    ],
)
def test_what_covers(pattern, other, expected):
    """A beginning covers longer ones, and paths that begin so."""
    assert covers(pattern, other) is expected
