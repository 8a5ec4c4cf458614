"""`penstock demo` as a command: its flags. What it does is shown by tests/system/test_demo.py."""

import pytest

from penstock.cli.demo import show


@pytest.fixture
def played(monkeypatch):
    """What the demo was asked to do."""
    asked = []

    async def play(*values):
        asked.append(values)
        return 1

    monkeypatch.setattr(show, "play", play)
    return asked


def test_flags_reach_the_demo(penstock, played):
    """Length, workers and admin address are handed on, and what it ends with is the exit code."""
    result = penstock("demo", "--seconds", "2.5", "--workers", "0", "--admin", "off")
    assert (result.exit_code, played) == (1, [(2.5, 0, "off")])


@pytest.mark.parametrize(
    "words", [["--seconds", "0"], ["--seconds", "-1"], ["--seconds", "x"], ["--admin", "x"], ["now"]]
)
def test_wrong_usage(penstock, played, words):
    """A length that is none, and words that mean nothing here, are wrong usage."""
    result = penstock("demo", *words)
    assert (result.exit_code, played, result.stderr.count("\n")) == (2, [], 1)
