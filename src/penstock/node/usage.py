"""What the supervisor and its workers use, from /proc."""

import os
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from penstock.metrics.snapshot import Usage

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """What one process uses; units as in `Usage`."""

    cpu_seconds: float
    resident_bytes: int
    virtual_bytes: int
    open_fds: int
    max_fds: int


class UsageMeter:
    """
    Reads what the processes of a node use.

    Args:
        root: Where processes are found.
    """

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root
        self._cpu = 0.0
        self._started_at = _start(root, os.getpid())

    def read(self, workers: Iterable[int]) -> Usage:
        """
        Return what this process and its workers use.

        Args:
            workers: Their processes. One that is gone is left out; its CPU time passed to us when it was waited for
                (getrusage(2), RUSAGE_CHILDREN).
        """
        pids = {os.getpid(), *workers}
        found = [process for pid in pids if (process := read_process(self._root / str(pid)))]
        dead = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = sum(process.cpu_seconds for process in found) + dead.ru_utime + dead.ru_stime
        self._cpu = max(self._cpu, cpu)  # a worker may be gone from one list and not yet in the other
        return Usage(
            cpu_seconds=self._cpu,
            resident_bytes=sum(process.resident_bytes for process in found),
            virtual_bytes=sum(process.virtual_bytes for process in found),
            open_fds=sum(process.open_fds for process in found),
            max_fds=sum(process.max_fds for process in found),
            started_at=self._started_at,
        )


def read_process(folder: Path) -> Process | None:
    """Return what a process uses (proc(5)), given its folder in /proc; None if it is gone or not ours to look at."""
    try:
        fields = _fields(folder)
        pages = (folder / "statm").read_text().split()
        return Process(
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
            virtual_bytes=int(pages[0]) * _PAGE,
            resident_bytes=int(pages[1]) * _PAGE,
            open_fds=_descriptors(folder / "fd"),
            max_fds=_limit(folder / "limits"),
        )
    except (OSError, ValueError, IndexError):
        return None


def _descriptors(folder: Path) -> int:
    return folder.stat().st_size or sum(1 for _ in folder.iterdir())  # the size is their number since Linux 6.2


def _limit(file: Path) -> int:
    for line in file.read_text().splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else 0
    return 0


def _start(root: Path, pid: int) -> float:
    """Return when a process started; unit s since the epoch, 0 if nobody tells."""
    try:
        boot = next(line for line in (root / "stat").read_text().splitlines() if line.startswith("btime "))
        return int(boot.split()[1]) + int(_fields(root / str(pid))[19]) / _TICKS
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0


def _fields(folder: Path) -> list[str]:
    """Return what stands in `stat` behind the name, which may hold spaces and brackets; the first is the state."""
    return (folder / "stat").read_text().rpartition(") ")[2].split()
