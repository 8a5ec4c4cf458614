"""What the kernel says of processes and cores: family, CPU time, memory. Parsers are pure, readers are thin."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
"""Ticks in a second, the unit of /proc/PID/stat and /proc/stat."""


@dataclass(frozen=True)
class Stat:
    """
    The fields used of /proc/PID/stat.

    Args:
        pid: The process.
        state: One letter; Z for one that ended and was not waited for.
        parent: Its parent's pid.
        session: Its session's pid.
        reaped_s: CPU time of children that ended and were waited for; unit s.
    """

    pid: int
    state: str
    parent: int
    session: int
    reaped_s: float


def parse_stat(text: str) -> Stat:
    """
    Read one /proc/PID/stat.

    Args:
        text: The line; the name in parentheses may itself hold blanks and parentheses.

    Returns:
        The fields used.

    Raises:
        ValueError: If the text is no such line.
    """
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    if len(fields) < 15:
        raise ValueError(f"not a stat line: {text[:80]!r}")
    # Numbers of proc(5) less 3: state 3, ppid 4, session 6, cutime 16, cstime 17.
    return Stat(int(pid), fields[0], int(fields[1]), int(fields[3]), (int(fields[13]) + int(fields[14])) / TICK)


def family_of(root: int, stats: Iterable[Stat]) -> list[Stat]:
    """
    Choose a server's processes.

    Args:
        root: The pid that was started, the leader of its own session.
        stats: All processes.

    Returns:
        The root, what descends from it, and what is left in its session when a parent in between has gone.
    """
    stats = list(stats)
    members = {stat.pid for stat in stats if root in (stat.pid, stat.session)}
    grown = True
    while grown:
        more = {stat.pid for stat in stats if stat.parent in members} - members
        members |= more
        grown = bool(more)
    return [stat for stat in stats if stat.pid in members]


def parse_pss(text: str) -> int:
    """Return the proportional set size in /proc/PID/smaps_rollup, shared memory included; unit bytes; 0 if absent."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def parse_core(text: str, core: int) -> float:
    """
    Read how long one core has been busy.

    Args:
        text: /proc/stat.
        core: The core's number.

    Returns:
        Time since boot that was neither idle, nor waiting, nor taken by the hypervisor; unit s.

    Raises:
        ValueError: If there is no such core.
    """
    for line in text.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
            return (user + nice + system + irq + softirq) / TICK
    raise ValueError(f"no cpu{core} in /proc/stat")


def family(root: int) -> list[Stat]:
    """Return a server's processes as they are now."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                found.append(parse_stat((entry / "stat").read_text()))
            except (OSError, ValueError):
                continue  # it ended while we looked
    return family_of(root, found)


def cpu_s(root: int) -> float:
    """
    Read the CPU time that a server's processes have used since they were started.

    Args:
        root: The pid that was started.

    Returns:
        User and system time; unit s. Live processes are read in nanoseconds from their CPU clocks, which include
        threads that ended; children that ended are in their parent's stat, in ticks.
    """
    total = 0.0
    for stat in family(root):
        try:
            total += time.clock_gettime(process_clock(stat.pid)) + stat.reaped_s
        except OSError:
            continue  # it ended while we looked: its parent's stat has it next time
    return total


def process_clock(pid: int) -> int:
    """Return the id of a process's CPU clock as clock_getcpuclockid(3) makes it: ~pid << 3 | CPUCLOCK_SCHED."""
    return (~pid << 3) | 2


def pss_bytes(root: int) -> int:
    """Return the proportional set size of a server's processes together; unit bytes."""
    total = 0
    for stat in family(root):
        try:
            total += parse_pss((PROC / str(stat.pid) / "smaps_rollup").read_text())
        except OSError:
            continue
    return total


def core_busy_s(core: int) -> float:
    """Return how long a core has been busy since boot, with whatever process; unit s."""
    return parse_core((PROC / "stat").read_text(), core)
