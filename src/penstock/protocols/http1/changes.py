"""What a route changes in final answers: fields that go, fields that are set, and where redirects lead."""

import re

from penstock.protocols.http1.fields import without
from penstock.protocols.http1.response import ResponseReader

_LOCATION = re.compile(rb"\r\nlocation:[ \t]*([^\r]*)", re.IGNORECASE)


class Paths:
    """
    Where clients find what a target calls by its own names.

    Args:
        places: How a target begins a URL of its own, in lower case: `http://app.internal`, with port and without.
        strip: Beginning of the path that the target does not see; empty for none.
        add: What the paths that it sees begin with; empty for nothing.
    """

    def __init__(self, places: frozenset[bytes], strip: bytes, add: bytes) -> None:
        self._places, self._strip, self._add = places, strip.rstrip(b"/"), add.rstrip(b"/")

    def outside(self, location: bytes) -> bytes:
        """
        Return a redirect's location as the client needs it; one that does not point at the target stays as it is.

        A URL of the target becomes a path, since the client knows scheme and host. A path that begins with what the
        target does not see was made by one that knows its clients' paths, and stays.
        """
        path = location
        if not location.startswith(b"/"):
            scheme, colon, rest = location.partition(b"://")
            ends = [at for at in (rest.find(mark) for mark in (b"/", b"?", b"#")) if at >= 0]
            end = min(ends, default=len(rest))
            if (scheme + colon + rest[:end]).lower() not in self._places:
                return location
            path = rest[end:]
            path = path if path.startswith(b"/") else b"/" + path
        if path.startswith(b"//"):  # another host (RFC 3986 section 4.2)
            return location
        if self._strip and _begins(path, self._strip):
            return path
        if not _begins(path, self._add):
            return location
        path = path[len(self._add) :]
        outside = self._strip + (path if path.startswith(b"/") else b"/" + path)
        return location if outside.startswith(b"//") else outside


def _begins(path: bytes, prefix: bytes) -> bool:
    """Return whether a path is below a prefix, or is the prefix itself."""
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/", b"?", b"#")


class AnswerChanges:
    """
    What one route changes in final answers.

    Args:
        removed: Names of fields that go, in lower case; those that are set are among them.
        added: Lines that are set, each with CRLF behind it.
        paths: Where redirects lead; None to leave them alone.

    Attributes:
        known: Heads of targets that were judged sound, with what clients of this route get; see `response.KNOWN`.
    """

    def __init__(self, removed: frozenset[bytes], added: bytes, paths: Paths | None = None) -> None:
        self._removed, self._added, self._paths = removed, added, paths
        self.known: dict[bytes, tuple[int, bytes, int]] = {}

    def of_target(self, head: bytes) -> bytes:
        """Return a target's head as the client gets it."""
        found = None if self._paths is None else _LOCATION.search(head)
        if found is not None and self._paths is not None:
            head = head[: found.start(1)] + self._paths.outside(found[1]) + head[found.end(1) :]
        return self.of_ours(head)

    def of_ours(self, answer: bytes) -> bytes:
        """Return an answer, its body with it, with the fields of this route."""
        end = answer.find(b"\r\n\r\n") + 2
        head = without(answer[:end], self._removed) if self._removed else answer[:end]
        return b"".join((head, self._added, answer[end:]))


class ChangedReader(ResponseReader):
    """
    Reads one answer on a route that changes answers.

    Args:
        changes: What it changes.
        method, keep_alive, http_1_0, upgrade: As of `ResponseReader`.
    """

    def __init__(
        self, changes: AnswerChanges, method: bytes, keep_alive: bool, http_1_0: bool, upgrade: bool = False
    ) -> None:
        super().__init__(method, keep_alive, http_1_0, upgrade)
        self._changes, self._known = changes, changes.known

    def _remember(self, head: bytes, given: bytes, length: int) -> None:
        super()._remember(head, self._changes.of_target(given), length)

    def _read_head(self, head: bytes, rest: int) -> bytes:
        given = super()._read_head(head, rest)
        return self._changes.of_target(given) if self.status >= 200 else given
