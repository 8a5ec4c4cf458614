"""What is said of paths: exact ones, and beginnings with a final `*`, found by bisection whatever their number."""

from bisect import bisect_right
from typing import Generic, TypeVar

T = TypeVar("T")

ANY = "*"


class PathIndex(Generic[T]):
    """
    Values by pattern.

    Args:
        values: By pattern: a path, or its beginning and `*`; `*` alone matches what has no path too.
    """

    __slots__ = ("_chains", "_exact", "_prefixes", "_shorter")

    def __init__(self, values: dict[str, T]) -> None:
        self._exact = {pattern: value for pattern, value in values.items() if not pattern.endswith(ANY)}
        self._prefixes = sorted(pattern[:-1] for pattern in values if pattern.endswith(ANY))
        self._shorter: list[int] = []  # where the next shorter prefix of each stands, -1 for none
        self._chains: list[tuple[T, ...]] = []  # the value of each and of all that are shorter
        for place, prefix in enumerate(self._prefixes):
            shorter = place - 1
            while shorter >= 0 and not prefix.startswith(self._prefixes[shorter]):
                shorter = self._shorter[shorter]
            self._shorter.append(shorter)
            rest = self._chains[shorter] if shorter >= 0 else ()
            self._chains.append((values[prefix + ANY], *rest))

    def find(self, path: str) -> tuple[T, ...]:
        """
        Return the values of all patterns that match, the most specific first.

        The prefix that sorts last before the path begins with the longest one that matches: all that sort between
        this one and the path begin with it too.

        Args:
            path: Without query; empty for what has none.
        """
        place = bisect_right(self._prefixes, path) - 1
        while place >= 0 and not path.startswith(self._prefixes[place]):
            place = self._shorter[place]
        found = self._chains[place] if place >= 0 else ()
        exact = self._exact.get(path)
        return found if exact is None else (exact, *found)


def matches(pattern: str, path: str) -> bool:
    """Return whether a pattern matches one path."""
    return path.startswith(pattern[:-1]) if pattern.endswith(ANY) else path == pattern


def covers(pattern: str, other: str) -> bool:
    """Return whether a pattern matches every path that another matches."""
    return matches(pattern, other.removesuffix(ANY)) and (pattern.endswith(ANY) or not other.endswith(ANY))


def specificity(pattern: str) -> tuple[int, int]:
    """Return how much a pattern says: a path more than a beginning, a long beginning more than a short one."""
    if pattern == ANY:
        return 0, 0
    return (1, len(pattern)) if pattern.endswith(ANY) else (2, 0)
