"""
The care for a node's own certificates: each is got when there is none, and again before it ends.

One at a time, in a thread beside the supervisor's loop. What fails is tried again later and later, and as late as the
server wants; meanwhile what is there is served.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from penstock.base.clock import NS, Clock
from penstock.config.replacing import replace_file
from penstock.config.tls_plan import AcmePlan, CertificatePlan
from penstock.dataplane.challenges import NOTHING, Pending
from penstock.metrics.certificates import CertificateView
from penstock.metrics.live import rfc3339
from penstock.node.acme.client import ISSUE_S, Errand, IssueError, issue
from penstock.node.acme.storage import read
from penstock.node.certificates import view_of
from penstock.node.log import Log
from penstock.policy.renewal import due_at, pause

LOOK_S = 60.0
"""Between two looks at the clock at most: it may be set, and a machine may sleep."""

PATIENCE_S = ISSUE_S + 300.0
"""Until a thread is left to itself: a server may answer one byte at a time."""

Issue = Callable[[Errand], bytes]

Result = TypeVar("Result")


class _Cared:
    """
    One certificate.

    Args:
        plan: Its names and its file.

    Attributes:
        stored: What its file holds; None for nothing that can be read.
        failures: Tries in a row that brought nothing.
        error: Why the last one did; empty once one has brought something.
        not_before_s: When it may be tried again after a failure; unit s since the epoch.
    """

    def __init__(self, plan: CertificatePlan) -> None:
        self.plan = plan
        self.stored = read(Path(plan.cert))
        self.failures, self.error, self.not_before_s = 0, "", 0.0

    def due_s(self) -> float:
        """Return when it is to be got; unit s since the epoch."""
        stored = self.stored
        if stored is None or not stored.issuer or not stored.names.issuperset(self.plan.names):
            return self.not_before_s
        return max(due_at(stored.not_before, stored.not_after), self.not_before_s)

    def view(self, now_s: float) -> CertificateView:
        """Return how it is."""
        due = rfc3339(int(self.due_s() * NS)) if self.due_s() else rfc3339(int(now_s * NS))
        return view_of(self.plan, self.stored, now_s, source="acme", renews_at=due, last_error=self.error)


class Renewals:
    """
    Cares for certificates.

    Args:
        plan: Which ones.
        clock: Gives the time.
        log: Where it is told.
        post: Tells all workers of challenges.
        deploy: Lets all workers load their certificates again.
        issue: Gets one, in a thread; None for the real thing.
        chance: Gives a number from 0 up to 1.
    """

    def __init__(
        self,
        plan: AcmePlan,
        clock: Clock,
        log: Log,
        post: Callable[[Pending], None],
        deploy: Callable[[], Awaitable[None]],
        *,
        issue: Issue = issue,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._log, self._post, self._deploy = clock, log, post, deploy
        self._issue, self._chance = issue, chance
        self._plan = plan
        self._cared: dict[CertificatePlan, _Cared] = {each: _Cared(each) for each in plan.certificates}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        for each in self._cared.values():
            if each.stored is None or not each.stored.issuer:
                self._log.warning(
                    "no certificate yet: a self-signed one is served until the first is issued",
                    names=list(each.plan.names),
                )
        self._task = asyncio.create_task(self._care(), name="acme")

    async def stop(self) -> None:
        """End; a thread that still waits for the server is left to itself."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def replan(self, plan: AcmePlan) -> None:
        """Care for the certificates of another plan. What stays keeps its failures, unless another server is asked."""
        kept = {} if any(differing(plan, self._plan)) else self._cared
        self._plan = plan
        self._cared = {each: kept.get(each) or _Cared(each) for each in plan.certificates}
        self._changed.set()

    def views(self) -> tuple[CertificateView, ...]:
        """Return how each of them is."""
        now = self._now_s()
        return tuple(each.view(now) for each in self._cared.values())

    def _now_s(self) -> float:
        return self._clock.wall_ns() / NS

    # Each of them ----------------------------------------------------------------------------------------------------

    async def _care(self) -> None:
        while True:
            self._changed.clear()
            now = self._now_s()
            due = [each for each in self._cared.values() if each.due_s() <= now]
            if due:
                await self._renew(min(due, key=lambda each: each.due_s()))
                continue
            left = min((each.due_s() - now for each in self._cared.values()), default=LOOK_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_S)):
                    await self._changed.wait()

    async def _renew(self, each: _Cared) -> None:
        names = list(each.plan.names)
        each.stored = read(Path(each.plan.cert))  # another node may have brought it
        if each.due_s() > self._now_s():
            await self._serve()
            return
        self._log.info("certificate asked for", names=names, directory=self._plan.directory)
        try:
            content = await self._get(each.plan)
            await asyncio.to_thread(replace_file, Path(each.plan.cert), content)
        except (IssueError, OSError) as error:
            self._failed(each, error)
            return
        except Exception as error:  # a fault of ours ends one try, not the care
            self._failed(each, IssueError(f"a fault of Penstock: {error!r}"))
            return
        each.stored, each.failures, each.error, each.not_before_s = read(Path(each.plan.cert)), 0, "", 0.0
        if each.due_s() <= self._now_s():  # its life is over as it begins: ask again, but not at once
            self._failed(each, IssueError("the new certificate is to be renewed at once: is the clock right?"))
        await self._serve()
        ends = "-" if each.stored is None else rfc3339(each.stored.not_after * NS)
        self._log.info("certificate issued", names=names, not_after=ends)

    async def _serve(self) -> None:
        try:
            await self._deploy()
        except Exception as error:  # it lies in its file, and is served after the next reload at the latest
            self._log.error("certificate not taken by workers", detail=repr(error))

    async def _get(self, certificate: CertificatePlan) -> bytes:
        stop = threading.Event()

        def post(pending: Pending) -> None:
            if not stop.is_set():
                self._post(pending)

        errand = Errand(self._plan, certificate, post, stop)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await in_thread(lambda: self._issue(errand))
        except TimeoutError:
            raise IssueError(f"the server has not answered within {PATIENCE_S:g} s") from None
        finally:
            stop.set()
            self._post(NOTHING)

    def _failed(self, each: _Cared, error: Exception) -> None:
        each.failures += 1
        each.error = str(error)
        seconds = pause(each.failures, getattr(error, "wish", 0.0), self._chance())
        each.not_before_s = self._now_s() + seconds
        self._log.warning(
            "certificate not issued",
            names=list(each.plan.names),
            detail=each.error,
            failures=each.failures,
            next_try_in=f"{seconds:.0f}s",
        )


async def in_thread(call: Callable[[], Result]) -> Result:
    """Return what a call returns, or raise what it raises. It may outlive the loop: nobody waits for it then."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(how: Callable[[Any], None], what: Any) -> None:
        if not future.done():
            how(what)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = future.set_result, call()
        except Exception as error:
            outcome = future.set_exception, error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="penstock-acme", daemon=True).start()
    return await future


def differing(one: AcmePlan, other: AcmePlan) -> Iterator[str]:
    """Yield the keys of two plans that differ, certificates aside."""
    yield from (
        key for key in one.__struct_fields__ if key != "certificates" and getattr(one, key) != getattr(other, key)
    )
