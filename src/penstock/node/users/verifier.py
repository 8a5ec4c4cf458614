"""Verifies logins in a few threads, which are free while argon2 works; each client in its turn."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from penstock.base.bounds import LOGINS_WAITING
from penstock.base.clock import NS, Clock
from penstock.config.plan import TimeoutPlan
from penstock.connection.commands import Verified
from penstock.dataplane.orders import Verify
from penstock.node.users.files import UserFiles
from penstock.policy.slowdown import Slowdown, key_of
from penstock.policy.turns import Turns

THREADS = 4
"""Most hashes at once, on as many cores: each takes 20 ms and 19 MiB by default. Workers need the cores too."""

Answer = Callable[[Verified], None]
Work = Callable[[str, bytes], bool]


class Job(NamedTuple):
    """
    A login to be verified.

    Args:
        key: Whose address it came from; see `slowdown.key_of`.
        question: What is asked.
        answer: Called with what is found.
        asked_ns: When; monotonic time, unit ns.
    """

    key: bytes
    question: Verify
    answer: Answer
    asked_ns: int


class Verifier:
    """
    Answers whether logins are right.

    Args:
        files: Who the users are.
        clock: Gives the time.
        work: Verifies a password against a hash, in a thread.
        threads: That do so at once.

    Attributes:
        patience_ns: After so long nobody waits for an answer any more; unit ns.
    """

    def __init__(self, files: UserFiles, clock: Clock, *, work: Work | None = None, threads: int = 0) -> None:
        self._files, self._clock = files, clock
        self._work = work or fits
        self._threads = threads or min(THREADS, len(os.sched_getaffinity(0)))
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(self._threads, "penstock-login")
        self._turns: Turns[Job] = Turns(LOGINS_WAITING)
        self._slowdown = Slowdown()
        self._busy = 0
        self.patience_ns = TimeoutPlan().handshake

    def ask(self, question: Verify, answer: Answer) -> None:
        """Verify a login soon, and call `answer` once, with BUSY if too many wait."""
        now = self._clock.monotonic_ns()
        job = Job(key_of(question.client), question, answer, now)
        late = self._slowdown.delay(job.key, now) > 0
        under_way = self._turns.come(job.key, job, late=late)
        if under_way is None:
            answer(Verified.BUSY)
        elif under_way:
            self._begin(job)

    def close(self) -> None:
        """Verify nothing more."""
        self._threads = 0
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, job: Job) -> None:
        delay = self._slowdown.delay(job.key, self._clock.monotonic_ns())
        if delay:
            self._loop.call_later(delay / NS, self._line_up, job, True)
        else:
            self._line_up(job, False)

    def _line_up(self, job: Job, late: bool) -> None:
        self._turns.line_up(job, late=late)
        self._next()

    def _next(self) -> None:
        while self._busy < self._threads and (job := self._turns.take()) is not None:
            question = job.question
            if self.patience_ns and self._clock.monotonic_ns() - job.asked_ns > self.patience_ns:
                self._finish(job, Verified.BUSY)
                continue
            if question.known is not None:
                self._finish(job, question.known)
                continue
            hashed, own = self._files.hash_of(question.users_file, question.user)
            if not hashed:
                self._finish(job, Verified.WRONG)
                continue
            self._busy += 1
            done = self._pool.submit(self._work, hashed, question.password)
            done.add_done_callback(partial(self._post, job, hashed, own))

    def _post(self, job: Job, hashed: str, own: bool, future: "Future[bool]") -> None:
        with suppress(RuntimeError):  # the loop may be closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._worked, job, hashed, own, future)

    def _worked(self, job: Job, hashed: str, own: bool, future: "Future[bool]") -> None:
        self._busy -= 1
        if future.cancelled() or future.exception() is not None:  # no memory for the hash: it may be right
            self._finish(job, Verified.BUSY)
        elif future.result() and own and self._files.hash_of(job.question.users_file, job.question.user)[0] == hashed:
            self._finish(job, Verified.RIGHT)
        else:  # or it was right until a moment ago
            self._finish(job, Verified.WRONG)
        self._next()

    def _finish(self, job: Job, verified: Verified) -> None:
        if verified is Verified.WRONG:
            self._slowdown.failed(job.key, self._clock.monotonic_ns())
        job.answer(verified)
        following = self._turns.leave(job.key)
        if following is not None:
            self._begin(following)


def fits(hashed: str, password: bytes) -> bool:
    """
    Return whether a password is the one of a hash. Takes long, and lets other threads run.

    Raises:
        argon2.exceptions.VerificationError: If that cannot be told, as without memory.
    """
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415 - most nodes have no file of users
    from argon2.low_level import Type, verify_secret  # noqa: PLC0415

    try:
        return verify_secret(hashed.encode(), password, Type.ID)
    except VerifyMismatchError:
        return False
