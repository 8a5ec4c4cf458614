"""All deliveries of a node: made of its plan, begun when it serves, ended after its last tick."""

import asyncio
from collections.abc import Callable

from penstock.base.clock import NS, Clock
from penstock.base.errors import StartError
from penstock.config.plan import NodePlan
from penstock.metrics.snapshot import Snapshot
from penstock.node.exports.delivery import Delivery, Receiver
from penstock.node.log import Log

STOP_S = 5.0
"""For the last deliveries, all at once: a receiver that is gone does not keep a node from ending."""


class Exports:
    """
    Sends metrics to all receivers that a plan names; for none it does nothing.

    Args:
        plan: What it is told.
        snapshot: Gives the newest snapshot. What the first one holds is not growth of this node's life.
        clock: Gives the time.
        log: Where failures are told.
        patience: For the last deliveries; unit s.

    Raises:
        StartError: If OTLP is wanted and its extra is not installed.
    """

    def __init__(
        self, plan: NodePlan, snapshot: Callable[[], Snapshot], clock: Clock, log: Log, patience: float = STOP_S
    ) -> None:
        interval = plan.metrics.export_interval / NS
        self._log, self._patience = log, patience
        self._deliveries = [
            Delivery(receiver, snapshot, interval, clock, log, wanted=lambda: snapshot().collection.exports)
            for receiver in receivers(plan, snapshot())
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to deliver: the first time when an interval has passed."""
        self._tasks = [asyncio.create_task(each.run(), name="export") for each in self._deliveries]

    async def stop(self) -> None:
        """Deliver once more to each, and return when that is done or `patience` is over."""
        if not self._tasks:
            return
        for delivery in self._deliveries:
            delivery.stop()
        _, late = await asyncio.wait(self._tasks, timeout=self._patience)
        for task in late:
            task.cancel()
        if late:
            self._log.warning("last metrics were not taken in time", receivers=len(late), after=f"{self._patience:g}s")
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


def receivers(plan: NodePlan, start: Snapshot) -> list[Receiver]:
    """
    Return whom a plan names.

    Args:
        plan: What the node is told.
        start: What has been counted already.

    Raises:
        StartError: If OTLP is wanted and its extra is not installed.
    """
    found: list[Receiver] = []
    metrics = plan.metrics
    if metrics.statsd is not None:
        from penstock.node.exports.udp import StatsdReceiver  # noqa: PLC0415 - few nodes need it

        found.append(StatsdReceiver(metrics, plan.name, start))
    if metrics.push is not None or metrics.otlp is not None:
        from penstock.node.exports import http  # noqa: PLC0415 - an HTTP client is 10 MB that few nodes need

        if metrics.push is not None:
            found.append(http.push_receiver(metrics.push, plan.name, compat_names=metrics.compat_names))
        if metrics.otlp is not None:
            try:
                found.append(http.otlp_receiver(metrics.otlp, compat_names=metrics.compat_names))
            except ImportError as error:
                raise StartError(f"metrics.otlp: {error.name} is missing; pip install 'penstock[otlp]'") from error
    return found
