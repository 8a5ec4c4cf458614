"""Who goes before others on a core: clients and servers that are measured, before whatever else there is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench import proc

PRIORITY = 1
"""Among real-time processes: by their nice values alone others would keep them waiting for a slice of 3 to 4 ms now and
then, and what is measured is how long a proxy does."""


def at_once(pid: int) -> None:
    """Let a process, or one thread, run as soon as it has something to do, where we may say so."""
    with suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(PRIORITY))


@contextmanager
def urgent() -> Iterator[None]:
    """Let no other work of the machine come before ours, all servers and clients, as far as we may (as root)."""
    everything = [path.name for each in proc.family(os.getpid()) for path in (proc.PROC / f"{each.pid}/task").glob("*")]
    try:
        for thread in map(int, everything):
            with suppress(ProcessLookupError):
                at_once(thread)
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
