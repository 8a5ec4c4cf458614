"""A node as the business of a whole process: signals in, exit code out."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.base.errors import ConfigurationError, StartError
from penstock.config.plan import NodePlan
from penstock.node.elder import from_environment
from penstock.node.inherited import from_systemd
from penstock.node.log import Log, make_log
from penstock.node.notify import notify
from penstock.node.origin import Addresses, Origin
from penstock.node.processes import COMMAND
from penstock.node.reload import Base, ReloadError, Source
from penstock.node.supervisor import Supervisor
from penstock.node.upgrade import UpgradeError

OK, FAILED, INTERRUPTED = 0, 1, 130
"""Exit codes: ended as asked, with all connections finished or at the deadline; not started; cut short by a second
signal."""

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that mean something to a node; left alone, each of them would end it."""


def run(
    plan: NodePlan,
    *,
    on_ready: Callable[[Addresses], None] | None = None,
    log: Log | None = None,
    command: tuple[str, ...] = COMMAND,
    source: Source | None = None,
    base: Base | None = None,
) -> int:
    """
    Run a node until a signal, or an order at its admin door, ends it. Blocks; for the main thread only.

    Args:
        plan: All that it is told.
        on_ready: Called once with the real addresses, when all workers accept.
        log: Where it says what happens; None for standard error as the plan says.
        command: What starts a worker process, after the interpreter.
        source: Reads the configuration again for a reload; None for a node that has none.
        base: What the plan was made of, for changes at runtime; None for a node whose tables stay.

    Returns:
        The exit code.
    """
    log = log or make_log(plan.log_level, plan.log_format)
    origin = Origin(from_systemd(), from_environment(), (sys.executable, *sys.orig_argv[1:]))
    supervisor = Supervisor(plan, log=log, command=command, source=source, base=base, origin=origin)
    return asyncio.run(_run(supervisor, log, on_ready))


async def _run(supervisor: Supervisor, log: Log, on_ready: Callable[[Addresses], None] | None) -> int:
    signals = Signals(supervisor, log)
    try:
        await supervisor.start()
        _settle_garbage_collector()
        notify("READY=1")
        if on_ready is not None:
            on_ready(supervisor.addresses)
        await supervisor.wait()
    except StartError as error:
        log.error("not started", why=str(error))
        return FAILED
    except asyncio.CancelledError:
        if not signals.insisted:
            raise
    finally:
        await supervisor.stop()
        signals.close()
    return INTERRUPTED if signals.insisted else OK


def _settle_garbage_collector() -> None:
    """Let later collections pass over what is there to stay: over modules and plans, one took 20 to 40 ms of a tick."""
    gc.collect()
    gc.freeze()


class Signals:
    """
    What signals mean to a node: TERM and INT drain, a second one ends it now, HUP reloads, USR1 reopens the access log,
    USR2 upgrades.

    Args:
        supervisor: The node.
        log: Where they are told.

    Attributes:
        insisted: Whether a second signal came.
    """

    def __init__(self, supervisor: Supervisor, log: Log) -> None:
        self._supervisor, self._log = supervisor, log
        self._main = asyncio.current_task()
        self._asked: set[asyncio.Task[None]] = set()
        self._reloads: set[asyncio.Task[None]] = set()
        self.insisted = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen)
        loop.add_signal_handler(signal.SIGUSR2, self._begin_upgrade)

    def close(self) -> None:
        """Let signals change nothing: all is done, and the process is about to return its exit code."""
        loop = asyncio.get_running_loop()
        for number in HEARD:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _reopen(self) -> None:
        if not self._supervisor.reopen():
            self._log.info("logs go to standard error: nothing to reopen")

    def _begin_reload(self) -> None:
        self._begin(self._reload())

    def _begin_upgrade(self) -> None:
        self._begin(self._upgrade())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._reloads) > 1:
            work.close()
            return  # one runs, and one waits that will read what is there now
        task = asyncio.create_task(work)
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _upgrade(self) -> None:
        try:
            await self._supervisor.upgrade()
        except UpgradeError:
            pass  # told by whoever tried
        except Exception as error:  # the node serves on, whatever it was
            self._log.error("upgrade failed", detail=repr(error))

    async def _reload(self) -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}")
        try:
            await self._supervisor.reload()
        except ReloadError as error:
            self._log.warning("not reloaded", why=str(error))
        except ConfigurationError:
            pass  # told by whoever found the mistakes
        except Exception as error:  # the node serves on, whatever it was
            self._log.error("reload failed", detail=repr(error))
        finally:
            notify("READY=1")

    def _end(self, number: signal.Signals) -> None:
        if not self._asked:
            self._log.info("asked to end", signal=number.name, next="a second signal ends every connection now")
            notify("STOPPING=1")
            self._asked.add(asyncio.create_task(self._supervisor.drain()))
        elif not self.insisted:
            self.insisted = True
            self._log.warning("asked to end now", signal=number.name)
            if self._main is not None:
                self._main.cancel()  # wherever it is: starting or waiting; it stops the supervisor on its way out
