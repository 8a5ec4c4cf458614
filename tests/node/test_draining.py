"""How a drain's progress is told."""

from penstock.base.clock import NS
from penstock.node.draining import EXTEND_US, TELL_NS, Progress

from .conftest import KeptLog


def test_progress_is_told_at_once_and_then_every_few_seconds():
    """To the log and to systemd, which is asked to wait; not each second, and no more when nobody is left."""
    kept, said = KeptLog(), []
    progress = Progress(kept.log, said.append)
    assert progress.began_with is None
    for second, active in enumerate((3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 0)):
        progress.see(active, second * NS, 30 * NS)
    assert [each["event"] for each in kept.events()] == ["drain: 3 connections left", "drain: 1 connection left"]
    assert [each["cut_in"] for each in kept.events()] == ["30s", "25s"]
    assert said == [
        f"STATUS=Draining: 3 connections left of 3\nEXTEND_TIMEOUT_USEC={EXTEND_US}",
        f"STATUS=Draining: 1 connection left of 3\nEXTEND_TIMEOUT_USEC={EXTEND_US}",
    ]


def test_a_drain_of_nobody_says_nothing():
    """There is nothing to wait for."""
    kept, said = KeptLog(), []
    progress = Progress(kept.log, said.append)
    progress.see(0, 0, None)
    progress.see(0, TELL_NS, None)
    assert (kept.events(), said, progress.began_with) == ([], [], 0)
