"""
Whose turn it is: jobs of many clients for few hands, so that no client delays another one.

Of one client at most two jobs are under way, the rest waits in a line of its own. What is ready is taken in the order
in which it became so, and that of clients with failures only while nothing else is ready.
"""

from collections import deque
from typing import Generic, TypeVar

UNDER_WAY = 2
"""Jobs of one client at once; a browser opens six connections, whose logins are the same."""

LINE = 64
"""Jobs of one client that wait: a proxy's worth of users behind one address."""

LATE_LINE = 2
"""The same of a client with failures."""

Job = TypeVar("Job")


class Turns(Generic[Job]):
    """
    Jobs that wait.

    Args:
        limit: Jobs of all clients together, under way or not. Of clients with failures half as many are let in.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs = 0
        self._under_way: dict[bytes, int] = {}
        self._lines: dict[bytes, deque[Job]] = {}
        self._first: deque[Job] = deque()
        self._late: deque[Job] = deque()

    def __len__(self) -> int:
        return self._jobs

    def come(self, key: bytes, job: Job, *, late: bool) -> bool | None:
        """
        Take a job.

        Args:
            key: Whose it is.
            job: What is to be done.
            late: Whether its client has failures.

        Returns:
            Whether it is under way; False if it waits in its client's line, None if there is no room for it.
        """
        line = self._lines.get(key)
        waiting = 0 if line is None else len(line)
        if waiting >= (LATE_LINE if late else LINE) or self._jobs >= (self._limit // 2 if late else self._limit):
            return None
        self._jobs += 1
        count = self._under_way.get(key, 0)
        if count < UNDER_WAY:
            self._under_way[key] = count + 1
            return True
        if line is None:
            self._lines[key] = line = deque()
        line.append(job)
        return False

    def line_up(self, job: Job, *, late: bool) -> None:
        """A job under way is ready to be done."""
        (self._late if late else self._first).append(job)

    def take(self) -> Job | None:
        """Return what is to be done now; None for nothing."""
        if self._first:
            return self._first.popleft()
        return self._late.popleft() if self._late else None

    def leave(self, key: bytes) -> Job | None:
        """A job that was under way is done; return the one of the same client that is under way now; None for none."""
        self._jobs -= 1
        line = self._lines.get(key)
        if line is not None:
            job = line.popleft()
            if not line:
                del self._lines[key]
            return job
        count = self._under_way[key] - 1
        if count:
            self._under_way[key] = count
        else:
            del self._under_way[key]
        return None
