"""
A node within another program: `async with Penstock(...) as proxy`.

It runs in the caller's event loop. It takes no signals, writes nothing to standard output, opens no door that nobody
asked for, and says what happens to the logger `penstock` of Python's own logging.
"""

import asyncio
import logging
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from penstock.base.addresses import Endpoint
from penstock.config.embedded import embedded
from penstock.config.functions import forget
from penstock.config.objects import Listener, Route
from penstock.metrics.audit import AuditView
from penstock.metrics.live import ConnectionView
from penstock.metrics.tracker import NODE
from penstock.metrics.view import HistoryView, Metrics
from penstock.node.log import LEVELS, Event, Events, Log, logfmt
from penstock.node.supervisor import Supervisor

PAGE = 1_000
"""Connections in one answer, where no other number is asked for."""


class Penstock:
    """
    A proxy. To be entered once.

    Args:
        config: Path of a configuration file, its text, or its tables as a dict; None for none. What stands in it means
            the same as for `penstock run`, but for these defaults: no worker processes, no admin door, no store.
        listeners: More listeners.
        routes: More routes.
        workers: Worker processes; 0 for a thread of this process.
        admin: Address of the admin door; None for what `config` says.
        state_dir: Directory of what outlives a restart; None for what `config` says, or for keeping nothing.
        name: What the node is called; None for what `config` says, or else the host's name.
        timeouts: Keys of `[timeouts]`, such as `{"idle": "5m"}`.
        log: Where it says what happens; None for the logger `penstock` of Python's own logging.

    Raises:
        ConfigurationError: With every mistake at once, in `mistakes`.
        TypeError: If an argument is of no such kind.
    """

    def __init__(
        self,
        config: str | Path | Mapping[str, Any] | None = None,
        *,
        listeners: Sequence[Listener] = (),
        routes: Sequence[Route] = (),
        workers: int | str | None = None,
        admin: str | None = None,
        state_dir: str | Path | None = None,
        name: str | None = None,
        timeouts: Mapping[str, Any] | None = None,
        log: Log | None = None,
    ) -> None:
        sections: dict[str, Mapping[str, Any]] = {
            "node": {"workers": workers, "name": name, "state_dir": state_dir},
            "admin": {"listen": admin},
            "timeouts": timeouts or {},
        }
        told = embedded(config, listeners=listeners, routes=routes, sections=sections)
        self._forget = weakref.finalize(self, forget, told.given)
        self._supervisor = Supervisor(told.plan, log=log or standard_log(told.plan.log_level), base=told.base)
        self._entered = self._started = False

    async def __aenter__(self) -> "Penstock":
        """
        Bind and serve.

        Raises:
            StartError: If a port is in use, a privilege is missing, or a worker cannot start; nothing is left running.
            RuntimeError: If it was entered before.
        """
        if self._entered:
            raise RuntimeError("a Penstock can be entered once; make another one")
        self._entered = True
        await self._supervisor.start()
        self._started = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection that is left, and return when everything has ended; a cancellation waits for that."""
        ending = asyncio.ensure_future(self._supervisor.stop())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise
        finally:
            self._forget()

    # What it is like -------------------------------------------------------------------------------------------------

    @property
    def addresses(self) -> Mapping[str, Endpoint]:
        """Return where each listener really listens, as (host, port) by name."""
        return self._node.addresses.listeners

    @property
    def admin(self) -> Endpoint | None:
        """Return where the admin door is; None for none."""
        return self._node.addresses.admin

    @property
    def ready(self) -> bool:
        """Return whether new connections are served; False before it was entered, too."""
        return self._started and self._supervisor.ready()[0]

    @property
    def metrics(self) -> Metrics:
        """Return what the newest snapshot tells, which is a second old at most; ask anew for newer numbers."""
        return Metrics(self._node.snapshot())

    def connections(self, *, limit: int = PAGE, busiest: bool = False) -> list[ConnectionView]:
        """
        Return open connections as of now.

        Args:
            limit: How many at most.
            busiest: Those that have moved most, instead of the oldest.
        """
        return self._node.snapshot().live.page(limit=limit, busiest=busiest).connections

    def history(self, seconds: int, scope: str = NODE) -> HistoryView:
        """Return a graph, as `Metrics.history` does."""
        return self.metrics.history(seconds, scope)

    async def audit(self) -> AuditView:
        """Compare open connections with the kernel, and return the whole sheet."""
        return await self._node.audit()

    # What it can be told ---------------------------------------------------------------------------------------------

    async def close_connection(self, number: int) -> bool:
        """End the connection with this id; returns whether there was one."""
        return await self._node.close_connection(number)

    async def drain(self) -> None:
        """Accept no more, let connections finish, cut what still runs after `timeouts.drain`; returns at the end."""
        await self._node.drain()
        await self._node.wait()

    async def wait(self) -> None:
        """Return when the proxy has ended, by `drain` or at its admin door."""
        await self._node.wait()

    @property
    def _node(self) -> Supervisor:
        if not self._started:
            raise RuntimeError("the proxy has not started: enter it, `async with Penstock(...) as proxy`")
        return self._supervisor

    def __repr__(self) -> str:
        state = "serves" if self.ready else "has ended" if self._started else "has not started"
        return f"<Penstock {self._supervisor.plan.name} {state}>"


def standard_log(level: str) -> Log:
    """Return a log that says everything to the logger `penstock` of Python's own logging, one line an event."""
    logger = logging.getLogger("penstock")

    def say(level: str, event: Event) -> None:
        """Give the line as an argument: what clients choose of it may hold a % that logging would read."""
        logger.log(LEVELS[level], "%s", logfmt(event, ("event",)))

    return Events(say, level)
