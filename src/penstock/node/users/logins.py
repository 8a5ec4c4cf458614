"""What a node does about logins: keeps its files of users fresh, and answers its workers."""

import asyncio
from collections.abc import Callable, Iterator

from penstock.base.clock import Clock
from penstock.config.plan import WorkerPlan
from penstock.connection.commands import Verified
from penstock.dataplane.orders import Verified as Answer
from penstock.dataplane.orders import Verify
from penstock.node.log import Log
from penstock.node.users.files import UserFiles, users_files
from penstock.node.users.verifier import Verifier

LOOK_SECONDS = 1.0
"""Between two looks at the files: one stat of each."""


class Logins:
    """
    The logins of a node.

    Args:
        plan: Names the files.
        clock: Gives the time.
        log: Where it is told what is wrong with one.

    Attributes:
        on_change: Called when users have changed: what workers remember is no longer true.
    """

    def __init__(self, plan: WorkerPlan, clock: Clock, log: Log) -> None:
        self._files = UserFiles(log)
        self._verifier = Verifier(self._files, clock)
        self._adopt(plan)
        self.on_change: Callable[[], None] = lambda: None
        self._turn = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    @property
    def failures(self) -> int:
        """Return how often a file could not be read."""
        return self._files.failures

    def names(self) -> Iterator[str]:
        """Yield every user of every file."""
        return self._files.names()

    async def start(self) -> None:
        """Read the files, and look at them from now on."""
        await self.look()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Let go of everything."""
        self._verifier.close()
        if self._watching is not None:
            self._watching.cancel()

    async def replan(self, plan: WorkerPlan) -> None:
        """Read the files of another plan, before workers ask for them."""
        self._adopt(plan)
        await self.look()

    def _adopt(self, plan: WorkerPlan) -> None:
        self._paths = users_files(plan)
        self._verifier.patience_ns = plan.timeouts.handshake

    async def look(self) -> None:
        """Read what differs."""
        async with self._turn:
            if await asyncio.to_thread(self._files.look, self._paths):
                self.on_change()

    def verify(self, question: Verify, send: Callable[[Answer], object]) -> None:
        """Answer a worker; what it does not take any more is lost with it."""

        def answer(verified: Verified) -> None:
            send(Answer(question.number, verified))

        self._verifier.ask(question, answer)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._paths:
                await self.look()
