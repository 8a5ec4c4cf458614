"""Processes and cores as /proc shows them."""

import os
import subprocess
import sys

import pytest
from bench.proc import Stat

from bench import proc

LINE = "4242 (a (b) c) S 17 4242 99 0 -1 4194560 1 2 3 4 11 12 150 50 20 0 1 0 100 200 300\n"


def test_stat_line():
    """Parent, session and the time of reaped children are read past a name with parentheses and blanks."""
    assert proc.parse_stat(LINE) == Stat(4242, "S", 17, 99, 200 / proc.TICK)


@pytest.mark.parametrize("text", ["", "12", "12 (sh) S 1 2", "nobody (sh) " + "0 " * 20])
def test_no_stat_line(text):
    """What is no stat line is a ValueError."""
    with pytest.raises(ValueError, match=r"not a stat line|invalid literal"):
        proc.parse_stat(text)


def test_family():
    """A family is the root, its descendants at any depth, and its session's orphans; nobody else."""
    stats = [
        Stat(pid, "S", *rest, 0) for pid, *rest in [(5, 4, 1), (4, 3, 1), (3, 1, 3), (8, 1, 3), (9, 1, 9), (1, 0, 1)]
    ]
    assert {stat.pid for stat in proc.family_of(3, stats)} == {3, 4, 5, 8}


def test_pss():
    """PSS is read in bytes; a process without a memory map has none."""
    assert proc.parse_pss("Rss:   99 kB\nPss:        12 kB\nPss_Dirty:  3 kB\n") == 12 * 1024
    assert proc.parse_pss("") == 0


def test_core():
    """A core's busy time leaves out idle, iowait and steal."""
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 1 1 500 500 1 1 70 0 0\ncpu1 10 20 30 999 999 40 50 77 0 0\n"
    assert proc.parse_core(text, 1) == 150 / proc.TICK
    with pytest.raises(ValueError, match="no cpu2"):
        proc.parse_core(text, 2)


def test_own_cpu_time():
    """The CPU time of this very process grows with work and agrees with what times(2) says."""
    before = proc.cpu_s(os.getpid())
    sum(number * number for number in range(200_000))
    after = proc.cpu_s(os.getpid())
    assert after > before
    assert after == pytest.approx(sum(os.times()[:4]), abs=0.2)


def test_child_that_ended_is_counted():
    """Work of a child that a server forked and reaped is in the server's CPU time."""
    work = "sum(n * n for n in range(2_000_000))"
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{work}']); print('done', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"done\n"
        (mother,) = [stat for stat in proc.family(server.pid) if stat.pid == server.pid]
        assert proc.cpu_s(server.pid) > mother.reaped_s > 0.02
        server.communicate(b"\n")


def test_own_memory():
    """This process has a proportional set size of some megabytes."""
    assert proc.pss_bytes(os.getpid()) > 1_000_000
