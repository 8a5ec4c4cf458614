"""
One worker's life, from its spawn to the last report that it left behind.

The worker is started by exec, so that it has none of the supervisor's memory, and in a session of its own, so that a
Ctrl-C in the terminal reaches the supervisor alone. Its death is read from a pidfd: there is no SIGCHLD handler that an
embedding program would have to share.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from penstock.base.clock import Clock
from penstock.config.plan import WorkerPlan
from penstock.dataplane import limit_table, orders
from penstock.dataplane.access_file import STANDARD_OUTPUT
from penstock.dataplane.bans import NONE, serialize
from penstock.dataplane.limit_table import ALONE, Seats
from penstock.metrics import ledger
from penstock.node.control import Control
from penstock.node.sockets import OpenListener

COMMAND = ("-P", "-m", "penstock.dataplane.worker")
"""-P keeps the working directory off the module path, where a stray `socket.py` would shadow Python's own; the rest of
the environment stays as it is, so that a worker finds the packages that its supervisor found."""

DEAF_SECONDS = 2.0
"""A worker that closed its control socket is on its way out; one that still runs after this time is killed."""

CLOSE_SECONDS = 2.0
"""Longest wait for a worker's answer to an order to close a connection; it takes orders between two events."""

RELOAD_SECONDS = 10.0
"""Longest wait for a worker to take another plan; ten thousand routes take it a second."""

CLOSES = 1_024
"""Orders to close that may wait for their answers in one worker."""


class Outfit(NamedTuple):
    """
    What every worker of a node is given.

    Args:
        plan: With the ports that listeners really have.
        listeners: Bound and listening.
        command: Arguments of the Python interpreter that start a worker.
        board: Descriptor of how targets are; -1 where nobody says.
        limits: Its place in the limit table; by default each worker has its own.
        bans: Descriptors of who is banned; see `dataplane.bans`.
    """

    plan: WorkerPlan
    listeners: tuple[OpenListener, ...]
    command: tuple[str, ...] = COMMAND
    board: int = -1
    limits: Seats = ALONE
    bans: tuple[int, int, int] = NONE


NoticeSink = Callable[["Life", orders.Notice | orders.TargetFailed | orders.Verify], None]


class Life:
    """
    What a process and a thread that serve have in common. Born running: a subclass starts it when it is built.

    Args:
        generation: Number of this life, never used twice by a node.
        number: The worker's seat, 0 and up; its successor has the same.
        rows: Of its ledger.
        clock: Gives the time of its start.
        on_notice: Called with what an operator should read.

    Attributes:
        ledger: Descriptor of its ledger; closed by `bury`.
        started_ns: Monotonic time of its start; unit ns.
        pid: Of its process; 0 until it is known.
        ready: Done when it accepts.
        ended: Done when it is no more; the result says how it ended.
        drained: Whether it said that no connection was left.
    """

    def __init__(self, generation: int, number: int, rows: int, clock: Clock, on_notice: NoticeSink) -> None:
        self.generation, self.number = generation, number
        self.started_ns = clock.monotonic_ns()
        self.pid = 0
        self.drained = False
        self._on_notice = on_notice
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._closes: dict[int, asyncio.Future[bool]] = {}
        self._reloading: dict[int, asyncio.Future[str]] = {}
        self._reloads = 0
        self._control: Control | None = None
        self.ledger = ledger.create(rows)

    @property
    def serves(self) -> bool:
        """Return whether it accepts connections."""
        return self.ready.done() and not self.ended.done()

    def send(self, order: orders.Order, fds: Sequence[int] = ()) -> bool:
        """Give it an order, with copies of descriptors; returns whether it is on its way."""
        return self._control is not None and self._control.send(order, fds)

    async def close_connection(self, serial: int) -> bool:
        """Return whether it had a connection of this serial number; the connection is closed then."""
        answer = self._closes.get(serial)
        if answer is None:
            if len(self._closes) >= CLOSES or not self.send(orders.CloseConnection(serial)):
                return False
            answer = self._closes[serial] = self._loop.create_future()
        try:
            return await asyncio.wait_for(asyncio.shield(answer), CLOSE_SECONDS)
        except TimeoutError:
            return False
        finally:
            self._closes.pop(serial, None)

    async def reload(self, plan: int, new: Sequence[OpenListener]) -> str:
        """
        Let it serve another plan from the next connection on.

        Args:
            plan: Descriptor of the plan as JSON.
            new: Listeners that the plan before had not.

        Returns:
            Why it goes on as before; empty if it serves the new plan.
        """
        self._reloads += 1
        number = self._reloads
        answer = self._reloading[number] = self._loop.create_future()
        order = orders.Reload(number, tuple(each.plan.id for each in new))
        if not self.send(order, (plan, *(each.of_worker(self.number).fileno() for each in new))):
            return "it takes no orders"
        try:
            return await asyncio.wait_for(answer, RELOAD_SECONDS)
        except TimeoutError:
            return f"no answer within {RELOAD_SECONDS:g} s"
        finally:
            del self._reloading[number]

    def kill(self) -> None:
        """End it without asking."""
        raise NotImplementedError

    def bury(self) -> None:
        """Let go of its ledger, after the last fold."""
        with suppress(OSError):
            os.close(self.ledger)

    def _listen_to(self, ours: socket.socket) -> None:
        self._control = Control(ours, self._take, self._fell_silent)

    def _take(self, report: orders.Report) -> None:
        if isinstance(report, orders.Ready):
            self.pid = report.pid
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(report, orders.Closed):
            answer = self._closes.pop(report.serial, None)
            if answer is not None and not answer.done():
                answer.set_result(report.found)
        elif isinstance(report, orders.Reloaded):
            taken = self._reloading.get(report.number)
            if taken is not None and not taken.done():
                taken.set_result(report.error)
        elif isinstance(report, orders.Drained):
            self.drained = True
        else:
            self._on_notice(self, report)

    def _fell_silent(self) -> None:
        self._loop.call_later(DEAF_SECONDS, self._kill_if_alive)

    def _kill_if_alive(self) -> None:
        if not self.ended.done():
            self.kill()

    def _end(self, how: str) -> None:
        if self._control is not None:
            self._control.read()  # its last words
            self._control.close()
        for answer in self._closes.values():
            if not answer.done():
                answer.set_result(True)  # gone with its worker
        self._closes.clear()
        for taken in self._reloading.values():
            if not taken.done():
                taken.set_result("")  # its successor begins with the new plan
        if not self.ended.done():
            self.ended.set_result(how)


class ProcessLife(Life):
    """
    A worker in a process of its own.

    Raises:
        OSError: If it cannot be started: out of processes, memory or descriptors.
    """

    def __init__(self, generation: int, number: int, outfit: Outfit, clock: Clock, on_notice: NoticeSink) -> None:
        super().__init__(generation, number, outfit.plan.ledger_rows, clock, on_notice)
        try:
            self._process = self._spawn(outfit)
        except OSError:
            self.bury()
            raise
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._died)

    def _spawn(self, outfit: Outfit) -> subprocess.Popen[bytes]:
        ours, theirs = orders.pair()
        plan = in_memory(msgspec.json.encode(outfit.plan))
        listeners = {each.plan.id: each.of_worker(self.number).fileno() for each in outfit.listeners}
        shared = [fd for fd in (outfit.board, outfit.limits.fd, *outfit.bans) if fd >= 0]
        arguments = {
            "--plan": plan,
            "--ledger": self.ledger,
            "--control": theirs.fileno(),
            "--listeners": ",".join(f"{listener}={fd}" for listener, fd in listeners.items()),
            "--number": self.number,
            "--board": outfit.board,
            "--limits": limit_table.serialize(outfit.limits),
            "--bans": serialize(outfit.bans),
        }
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, *outfit.command, *(str(word) for pair in arguments.items() for word in pair)],
                pass_fds=(plan, self.ledger, theirs.fileno(), *shared, *listeners.values()),
                stdin=subprocess.DEVNULL,
                # standard output is data; whatever a worker says is for people, unless it is the access log
                stdout=None if outfit.plan.access.file == STANDARD_OUTPUT and outfit.plan.access.format != "off" else 2,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(plan)
        self._listen_to(ours)
        return process

    def kill(self) -> None:
        """Kill the process; its ledger keeps what it moved."""
        self._process.kill()

    def _died(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._end(how_it_ended(self._process.wait()))


def how_it_ended(code: int) -> str:
    """Return what an exit status means: `exit 3`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def in_memory(data: bytes) -> int:
    """Return the descriptor of a file in memory that holds these bytes, to be read from its beginning."""
    fd = os.memfd_create("penstock-plan", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
