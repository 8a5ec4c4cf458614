"""Tables that were changed while the node ran: a layer above all others, which knows whole tables and no single key."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from penstock.base.errors import ConfigurationError
from penstock.config.mistakes import Assign, Key, printable, spelled

Section = Literal["listener", "route"]

SECTIONS: tuple[Section, ...] = ("listener", "route")

CHANGES = 1_000
"""Tables that differ from the configuration at once; whoever has more of them writes a file."""

COVER = "***"
"""What stands for a secret wherever a table is shown."""

Written = Mapping[str, Any]
"""A table as an operator writes it."""


class Changes(NamedTuple):
    """
    What was changed, by section and name.

    Args:
        tables: The whole table as it shall be; None for one that shall not be.
    """

    tables: Mapping[tuple[Section, str], Written | None] = {}

    def with_table(self, section: Section, name: str, table: Written | None) -> "Changes":
        """Return these changes and one more; raises ConfigurationError where there are CHANGES of them already."""
        tables = {**self.tables, (section, name): None if table is None else {**table, "name": name}}
        if len(tables) > CHANGES:
            raise ConfigurationError([f"{CHANGES:,} tables were changed at runtime already: write them into the file"])
        return Changes(tables)

    def without(self, section: Section, name: str) -> "Changes":
        """Return these changes but for one."""
        return Changes({key: table for key, table in self.tables.items() if key != (section, name)})


class Runtime:
    """
    The layer of changes.

    Args:
        changes: What was changed.
        folder: Where relative paths in it start.
    """

    def __init__(self, changes: Changes, folder: Path) -> None:
        self.folder = folder
        self.tree: dict[str, Any] = {
            section: [table for (kind, _), table in changes.tables.items() if kind == section and table is not None]
            for section in SECTIONS
        }
        self.gone = {key for key, table in changes.tables.items() if table is None}
        self.mistakes = [
            mistake
            for (section, name), table in changes.tables.items()
            if table is not None
            for mistake in _unwritable(f"{section}[{printable(name)}]", table)
        ]

    def place(self, key: Key, names: Mapping[Key, str]) -> tuple[int, str]:
        """Return the number of the table, and the key."""
        return int(key[1]) if len(key) > 1 else 0, spelled(key, names)

    def spell(self, write: Assign) -> str:
        """Return what to write here."""
        return f"{write.key} = {write.value}"


def _unwritable(where: str, value: Any) -> Iterator[str]:
    """Yield a mistake for each value that no file could hold, or that only shows where a secret stands."""
    if value is None:
        yield f"{where}: null: leave the key out"
    elif isinstance(value, str) and (value == COVER or f"://{COVER}@" in value):
        yield f"{where}: {COVER}: stands for a secret that is not shown; write the secret"
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _unwritable(f"{where}.{printable(key)}", each)
    elif isinstance(value, list):
        for each in value:
            yield from _unwritable(where, each)
