"""On which line of a TOML file a key stands. The parser does not say, so this is a search, for pointing only."""

import re

from penstock.config.mistakes import Key

LINE_CHARACTERS = 256
"""Of a line that are looked at: no key of ours is longer."""

_DOTTED = re.compile(r"""[\w."' -]+""", re.ASCII)
_PARTS = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


class Lines:
    """
    The lines of one file.

    Args:
        text: Its text.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[Key, int] = {}
        self._items: dict[str, int] = {}
        table: Key = ()
        for number, line in enumerate(text.split("\n"), 1):
            words = line.strip()[:LINE_CHARACTERS]
            brackets = 2 if words.startswith("[[") else int(words.startswith("["))
            parts = _parts(words[brackets:].partition("]" if brackets else "=")[0])
            if parts and brackets:
                table = self._table(parts, brackets == 2)
                self._lines.setdefault(table, number)
            elif parts and "=" in words:
                self._lines.setdefault((*table, *parts), number)

    def _table(self, parts: tuple[str, ...], is_item: bool) -> Key:
        first, rest = parts[0], parts[1:]
        if is_item and not rest:
            self._items[first] = self._items.get(first, -1) + 1
        return (first, self._items[first], *rest) if first in self._items else parts

    def find(self, key: Key) -> int:
        """Return the line, 1 and up, of a key, or else of the nearest thing that it stands in; 0 if there is none."""
        for length in range(len(key), 0, -1):
            if line := self._lines.get(key[:length]):
                return line
        return 0


def _parts(dotted: str) -> tuple[str, ...]:
    if not _DOTTED.fullmatch(dotted):
        return ()
    return tuple(double or single or bare for double, single, bare in _PARTS.findall(dotted))
