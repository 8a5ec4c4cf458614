"""
Handlers at work: functions of the operator's, called off the reactor's thread, each with a deadline.

A function may do what it likes for as long as it likes; what it can hold up is bounded. Plain functions run in at most
`HANDLER_THREADS` threads, async ones in one event loop. A thread cannot be interrupted: a function that hangs keeps its
thread until it returns, or the process ends. While all threads hang, decisions wait, and are refused at their deadline
or, when `HANDLER_QUEUE` of them wait, at once. Connections that need no handler notice nothing.
"""

import inspect
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.base.bounds import HANDLER_QUEUE, HANDLER_THREADS
from penstock.base.clock import NS
from penstock.config.functions import said
from penstock.connection.commands import Decide, Undecided, Verdict
from penstock.connection.deciding import settle
from penstock.dataplane import orders
from penstock.dataplane.complaints import Complaints
from penstock.dataplane.reactor import BROKEN, Reactor

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

    from penstock.dataplane.connection import Connection


class Job:
    """
    One call of a handler.

    Args:
        function: The handler.
        facts: Its argument.
        done: Called in the reactor's thread with its result, or with its exception.

    Attributes:
        over: Whether nobody waits for it any more.
        task: Of an async handler, once it runs.
    """

    __slots__ = ("done", "facts", "function", "over", "task")

    def __init__(self, function: Callable[..., Any], facts: Any, done: Callable[[object, BaseException | None], None]):
        self.function, self.facts, self.done = function, facts, done
        self.over = False
        self.task: Task[None] | None = None


class Handlers:
    """
    Calls the handlers of one worker.

    Args:
        reactor: In whose loop answers arrive.
        report: Tells the supervisor.

    Attributes:
        complaints: Tells of those that fail.
    """

    def __init__(self, reactor: Reactor, report: Callable[[orders.Notice], object]) -> None:
        self._reactor, self.complaints = reactor, Complaints("handler failed", reactor, report)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = self._busy = self._open = 0
        self._loop: AbstractEventLoop | None = None

    def call(self, job: Job) -> bool:
        """Call a handler soon; returns False if too many decisions are open. Its `done` is called once."""
        if self._open >= HANDLER_QUEUE:
            return False
        self._open += 1
        if is_async(job.function):
            loop = self._loop or self._start_loop()
            loop.call_soon_threadsafe(self._begin, loop, job)
        else:
            self._busy += 1
            if self._busy > self._threads < HANDLER_THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name=f"handler-{self._threads}", daemon=True).start()
            self._jobs.put(job)
        return True

    def give_up(self, job: Job) -> None:
        """Nobody waits for it any more: it is not begun, or cancelled if it can be."""
        job.over = True
        if job.task is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(job.task.cancel)

    def close(self) -> None:
        """Let the threads end after what they are in; they are daemons, and keep no process alive."""
        for _ in range(self._threads):
            self._jobs.put(None)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    # In the handlers' threads ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            result, error = None, None
            if not job.over:
                try:
                    result = job.function(job.facts)
                except BaseException as raised:  # a SystemExit of a handler's is no end of a thread of ours
                    error = raised
            self._reactor.post(partial(self._finish, job, result, error, plain=True))
            del job, result, error  # an idle thread keeps nothing alive

    def _start_loop(self) -> "AbstractEventLoop":
        import asyncio  # noqa: PLC0415 - 8 MB that only async handlers need

        self._loop = loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(loop,), name="handlers", daemon=True).start()
        return loop

    def _begin(self, loop: "AbstractEventLoop", job: Job) -> None:
        if job.over:
            self._reactor.post(partial(self._finish, job, None, None, plain=False))
        else:
            job.task = loop.create_task(self._await(job))

    async def _await(self, job: Job) -> None:
        result, error = None, None
        try:
            result = await job.function(job.facts)
        except BaseException as raised:
            error = raised
        self._reactor.post(partial(self._finish, job, result, error, plain=False))

    # In the reactor's thread -----------------------------------------------------------------------------------------

    def _finish(self, job: Job, result: object, error: BaseException | None, *, plain: bool) -> None:
        self._open -= 1
        self._busy -= plain
        if not job.over:
            job.over = True
            job.done(result, error)


def _run(loop: "AbstractEventLoop") -> None:
    import asyncio  # noqa: PLC0415 - see above

    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=1))
    loop.close()


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call of it must be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


class Deciding:
    """
    A connection that waits for a handler.

    Args:
        connection: Whose `extra` it is meanwhile.
        command: What is asked.
        function: Who is asked.
    """

    __slots__ = ("_command", "_connection", "_job")

    def __init__(self, connection: "Connection", command: Decide, function: Callable[..., Any]) -> None:
        self._connection, self._command = connection, command
        self._job = Job(function, command.facts, self._done)

    def start(self) -> None:
        """Ask; the conversation goes on with the answer."""
        connection = self._connection
        connection.extra = self
        connection.arm(connection.worker.reactor.now + self._command.route.handler_timeout)
        if not connection.worker.handlers.call(self._job):
            self._fail("too many decisions are open")

    def client_ready(self, mask: int) -> None:
        """What the client says meanwhile waits; a reset is its end."""
        if mask & BROKEN:
            self._connection.broken(self._connection.client)

    def expire(self) -> None:
        """The handler has had its time."""
        self._fail(f"no answer within {self._command.route.handler_timeout / NS:g} s")

    def close(self) -> None:
        """The connection ends."""
        self._connection.worker.handlers.give_up(self._job)

    def _done(self, result: object, error: BaseException | None) -> None:
        if error is not None:
            self._fail(said(error))
            return
        try:
            verdict = settle(result, self._command, self._connection.route.routes.names)
        except ValueError as wrong:
            self._fail(str(wrong))
        else:
            self._go_on(verdict)

    def _fail(self, why: str) -> None:
        handlers = self._connection.worker.handlers
        handlers.give_up(self._job)
        handlers.complaints.say(self._command.route.name, why)
        self._go_on(Undecided(why))

    def _go_on(self, answer: Verdict | Undecided) -> None:
        connection = self._connection
        connection.extra = None
        connection.arm(connection.worker.reactor.now + connection.worker.handshake)
        connection.step(answer)


def decide(connection: "Connection", command: Decide) -> None:
    """Ask the handler of a route."""
    function = connection.route.handler
    assert function is not None  # noqa: S101 - routes with this action have one, and a conversation takes its route
    Deciding(connection, command, function).start()
