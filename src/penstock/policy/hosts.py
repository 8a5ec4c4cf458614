"""What is said of hosts by name: exact names, `*.` and a suffix, and `*`, found by dict whatever their number."""

from typing import Generic, TypeVar

T = TypeVar("T")

ANY = "*"


def fold(host: str) -> str:
    """Return the one spelling of a host name: lower case, no final dot."""
    return host.lower().removesuffix(".")


class HostIndex(Generic[T]):
    """
    Values by pattern.

    Args:
        values: By pattern: a folded name, `*.` and a suffix for names with one label or more before it, or `*`.
    """

    __slots__ = ("_any", "_exact", "_labels", "_suffixes")

    def __init__(self, values: dict[str, T]) -> None:
        self._any = [value for pattern, value in values.items() if pattern == ANY]
        self._suffixes = {pattern[2:]: value for pattern, value in values.items() if pattern.startswith("*.")}
        self._exact = {pattern: value for pattern, value in values.items() if not pattern.startswith("*")}
        self._labels = max((suffix.count(".") + 1 for suffix in self._suffixes), default=0)

    def find(self, host: str) -> list[T]:
        """
        Return the values of all patterns that match, the most specific first.

        Args:
            host: Folded. However many labels a client sends, no more are looked at than the longest suffix has.
        """
        found = []
        place = len(host)
        for _ in range(self._labels):
            place = host.rfind(".", 0, place)
            if place <= 0:
                break
            if (value := self._suffixes.get(host[place + 1 :])) is not None:
                found.append(value)
        if (value := self._exact.get(host)) is not None:
            found.append(value)
        found.reverse()
        return found + self._any if self._any else found


def matches(pattern: str, host: str) -> bool:
    """Return whether a pattern matches one folded host."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return pattern in (ANY, host)


def covers(pattern: str, other: str) -> bool:
    """Return whether a pattern matches every host that another matches."""
    if other.startswith("*"):
        return pattern in (ANY, other) or (pattern.startswith("*.") and other.endswith(pattern[1:]) and other != ANY)
    return matches(pattern, other)


def specificity(pattern: str) -> tuple[int, int]:
    """Return how much a pattern says: a name more than a suffix, a long suffix more than a short one, `*` nothing."""
    if pattern == ANY:
        return 0, 0
    return (1, len(pattern)) if pattern.startswith("*.") else (2, 0)
