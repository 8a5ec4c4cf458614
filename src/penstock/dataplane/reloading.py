"""A worker's change to another plan: built in a thread while the reactor goes on, then taken between two turns."""

import os
import threading
from typing import TYPE_CHECKING

import msgspec

from penstock.base.errors import StartError
from penstock.config.plan import WorkerPlan
from penstock.dataplane import orders
from penstock.dataplane.equipment import Prepared, prepare

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker


class Reloading:
    """
    One reload.

    Args:
        worker: Whose.
        order: What came.
        fds: What came with it; owned from now on.
    """

    def __init__(self, worker: "Worker", order: orders.Reload, fds: list[int]) -> None:
        self._worker, self._order, self._fds = worker, order, fds

    def start(self) -> None:
        """Begin; the worker reports when it is over."""
        if len(self._fds) != 1 + len(self._order.listeners):
            self._fail("descriptors are missing")
            return
        threading.Thread(target=self._prepare, name="penstock-reload", daemon=True).start()

    def _prepare(self) -> None:
        try:
            plan = os.pread(self._fds[0], os.fstat(self._fds[0]).st_size, 0)  # all workers share the file's position
            prepared = prepare(msgspec.json.decode(plan, type=WorkerPlan), self._worker)
        except (StartError, OSError, ValueError, msgspec.MsgspecError) as error:
            self._worker.reactor.post(lambda why=str(error): self._fail(why))  # type: ignore[misc]
        else:
            self._worker.reactor.post(lambda: self._take(prepared))

    def _take(self, prepared: Prepared) -> None:
        if self._worker.draining:
            self._fail("the worker drains")
            return
        os.close(self._fds[0])
        self._worker.serve(prepared, dict(zip(self._order.listeners, self._fds[1:], strict=True)))
        self._worker.report(orders.Reloaded(self._order.number))

    def _fail(self, why: str) -> None:
        for fd in self._fds:
            os.close(fd)
        self._worker.report(orders.Reloaded(self._order.number, why))
