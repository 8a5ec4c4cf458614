"""
The files of users as they are now: looked at once a second, read again when they differ.

A file that cannot be read lets nobody in, and neither does a line that is wrong: both are told once.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from penstock.config.files import read_bounded, why
from penstock.config.plan import WorkerPlan
from penstock.config.users_file import FILE_BYTES, Users, parse
from penstock.node.log import Log

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""Fits no password that anybody knows: stands for users of a file that has none."""

TOLD = 10
"""Wrong lines of a file that are told whole."""

Stamp = tuple[int, ...]


class Book(NamedTuple):
    """
    A file as it was read.

    Args:
        hashes: By user. Never logged.
        drawn: The same hashes, in any order.
        stamp: What it looked like from outside.
        why: Why nobody is let in; empty if it could be read.
    """

    hashes: Mapping[str, str]
    drawn: tuple[str, ...]
    stamp: Stamp
    why: str = ""


class UserFiles:
    """
    Every file of users that a plan names.

    Args:
        log: Where it is told what is wrong with one.

    Attributes:
        failures: How often one that should be read could not be.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._books: dict[str, Book] = {}
        self._secret = os.urandom(32)
        self.failures = 0

    def look(self, paths: Iterable[str]) -> bool:
        """
        Read what differs from what is known, and return whether anything did. Blocks.

        Args:
            paths: Of the files; what is known of others is forgotten.
        """
        paths = set(paths)
        found = {path: self._looked(path, self._books.get(path)) for path in paths}
        changed = [path for path, book in found.items() if book is not self._books.get(path)]
        self._books = found
        return bool(changed)

    def names(self) -> Iterator[str]:
        """Yield every user of every file."""
        for book in self._books.values():
            yield from book.hashes

    def hash_of(self, path: str, user: bytes) -> tuple[str, bool]:
        """
        Return a hash that a login is to be verified against, and whether it is the user's own.

        An unknown user gets another one's hash, always the same one of all that there are: so a login costs as much
        as one of a user who exists, whatever the hashes of a file cost.

        Args:
            path: Of the file.
            user: As the client sent it; UTF-8.

        Returns:
            An empty hash where nobody is let in.
        """
        book = self._books.get(path)
        if book is None or book.why:
            return "", False
        found = book.hashes.get(user.decode("utf-8", "surrogateescape"))
        if found is not None:
            return found, True
        if not book.drawn:
            return NOBODY, False
        place = int.from_bytes(blake2b(user, key=self._secret, digest_size=8).digest(), "little")
        return book.drawn[place % len(book.drawn)], False

    def _looked(self, path: str, known: Book | None) -> Book:
        try:
            status = Path(path).stat()
            stamp = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            if known is not None and known.stamp == stamp and not known.why:
                return known
            users = parse(read_bounded(Path(path), FILE_BYTES))
        except (OSError, ValueError) as error:
            return self._failed(path, known, why(error))
        self._tell(path, users, anew=known is not None)
        if status.st_mode & stat.S_IWOTH:
            self._log.warning("users file can be changed by anybody", file=path, detail=f"chmod o-w {path}")
        return Book(users.hashes, tuple(users.hashes.values()), stamp)

    def _failed(self, path: str, known: Book | None, reason: str) -> Book:
        if known is not None and known.why == reason:
            return known
        self.failures += 1
        self._log.warning("users file not read, its users are refused", file=path, detail=reason)
        return Book({}, (), (), reason)

    def _tell(self, path: str, users: Users, *, anew: bool) -> None:
        if users.wrong:
            lines = [f"line {line}: {what}" for line, what in users.wrong[:TOLD]]
            self._log.warning("users file has wrong lines, their users are refused", file=path, lines=lines)
        if anew:
            self._log.info("users file read", file=path, users=len(users.hashes))


def users_files(plan: WorkerPlan) -> set[str]:
    """Return the path of every file of users that a plan names."""
    routes = (*plan.routes, *(each.route for each in plan.listeners))
    return {*(each.users_file for each in plan.listeners), *(each.users_file for each in routes)} - {""}
