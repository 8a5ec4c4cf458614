"""A worker in a thread of this process: the mode of tests and of embedding."""

import os
import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress

from penstock.base.clock import Clock
from penstock.config.plan import WorkerPlan
from penstock.dataplane import orders
from penstock.dataplane.limit_table import Seats
from penstock.node.processes import Life, NoticeSink, Outfit

Fds = tuple[int, int, int]
"""Descriptors of who is banned; see `dataplane.bans`."""

Serve = Callable[[WorkerPlan, int, socket.socket, dict[int, int], int, int, Seats, Fds], None]


def serve(
    plan: WorkerPlan,
    ledger_fd: int,
    control: socket.socket,
    listeners: dict[int, int],
    number: int,
    board: int,
    limits: Seats,
    bans: Fds,
) -> None:
    """Run a worker in this thread until it is told to end."""
    from penstock.dataplane.worker import Worker  # noqa: PLC0415 - a supervisor of processes needs no data plane

    Worker(plan, ledger_fd, control, listeners, number, board, limits, bans).run()


class ThreadLife(Life):
    """
    A worker in a thread. It owns copies of the listeners' descriptors, as a process would.

    Args:
        serve: What the thread runs.

    Raises:
        OSError: If it cannot be started: out of descriptors or threads.
    """

    def __init__(
        self,
        generation: int,
        number: int,
        outfit: Outfit,
        clock: Clock,
        on_notice: NoticeSink,
        *,
        serve: Serve = serve,
    ) -> None:
        super().__init__(generation, number, outfit.plan.ledger_rows, clock, on_notice)
        self.pid = os.getpid()
        try:
            self._start(serve, outfit)
        except (OSError, RuntimeError) as error:  # RuntimeError: Python's word for a thread that the system refuses
            self.bury()
            raise OSError(str(error)) from error

    def _start(self, serve: Serve, outfit: Outfit) -> None:
        ours, theirs = orders.pair()
        self._listen_to(ours)
        copies = {each.plan.id: os.dup(each.of_worker(self.number).fileno()) for each in outfit.listeners}
        arguments = (serve, outfit.plan, theirs, copies, outfit.board, outfit.limits, outfit.bans)
        threading.Thread(target=self._run, args=arguments, name=f"penstock-worker-{self.number}", daemon=True).start()

    def _run(
        self,
        serve: Serve,
        plan: WorkerPlan,
        control: socket.socket,
        listeners: dict[int, int],
        board: int,
        limits: Seats,
        bans: Fds,
    ) -> None:
        how = "exit 0"
        try:
            serve(plan, self.ledger, control, listeners, self.number, board, limits, bans)
        except Exception as error:
            traceback.print_exc()  # as a process would, on standard error
            how = f"{type(error).__name__}: {error}"
        with suppress(RuntimeError):  # the loop may be closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._end, how)

    def kill(self) -> None:
        """Hang up: a thread cannot be killed, but a worker that hears its supervisor end ends too."""
        if self._control is not None:
            self._control.close()
