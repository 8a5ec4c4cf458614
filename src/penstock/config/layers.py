"""The sources of a configuration beside its files: environment, flags, and what a command assumes."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args, get_origin

from pydantic.fields import FieldInfo

from penstock.config.kinds import Whole
from penstock.config.mistakes import Assign, Key, printable, spelled
from penstock.config.model import LISTS, Config
from penstock.config.table import Table

PREFIX = "PENSTOCK__"

TOML_CHARACTERS = 512
"""Longest list or table in a variable; the parser takes memory by the square of what stands in each other."""

FLAGS: dict[str, tuple[str, str]] = {
    "--name": ("node", "name"),
    "--workers": ("node", "workers"),
    "--state-dir": ("node", "state_dir"),
    "--splice": ("node", "splice"),
    "--admin": ("admin", "listen"),
    "--admin-token-file": ("admin", "token_file"),
    "--connections": ("limits", "connections"),
    "--idle": ("timeouts", "idle"),
    "--metrics": ("metrics", "enabled"),
    "--statsd": ("metrics", "statsd"),
    "--log-level": ("log", "level"),
    "--log-format": ("log", "format"),
}
"""Which key each flag of the command line sets."""

LISTENER_FLAGS = {"listen": "--listen", "targets": "--target", "auth": "--auth", "name": "--name", "detect": "--detect"}
"""What a listener's keys are called on the command line."""


class Layer(Protocol):
    """
    One source of values.

    Args:
        folder: Where relative paths start.
        tree: The values, as TOML would give them.
    """

    folder: Path
    tree: dict[str, Any]

    @property
    def mistakes(self) -> Sequence[str]:
        """What could not become a value; a line for each."""

    def place(self, key: Key, names: Mapping[Key, str]) -> tuple[int, str]:
        """Return the position of a key within this source, and how to point at it."""

    def spell(self, write: Assign) -> str:
        """Return what to write in this source."""


class Environment:
    """
    `PENSTOCK__SECTION__KEY` of the environment.

    Args:
        environ: The environment.
    """

    folder = Path()

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.tree: dict[str, Any] = {}
        self.mistakes: list[str] = []
        self._variables: dict[Key, str] = {}
        for variable in sorted(name for name in environ if name.startswith(PREFIX)):
            section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
            if section in LISTS or not section or not key:
                self.mistakes.append(
                    f"{_safe(variable)}: names no section and key; write {PREFIX}LOG__LEVEL, say, instead"
                )
                continue
            self._variables[section, key] = variable
            self.tree.setdefault(section, {})[key] = typed(section, key, environ[variable])

    def place(self, key: Key, names: Mapping[Key, str]) -> tuple[int, str]:
        """Return 0 and the variable."""
        return 0, _safe(self._variables.get(key[:2], spelled(key, names)))

    def spell(self, write: Assign) -> str:
        """Return what to write here."""
        return write.value.strip('"')


class Flags:
    """
    What the command line says.

    Args:
        flags: Values by flag, each of FLAGS; None for a flag that was not given.
        listeners: Listeners of a one-shot command, as tables of the file; keys with None are left out.
    """

    mistakes = ()
    folder = Path()

    def __init__(self, flags: Mapping[str, Any], listeners: Iterable[Mapping[str, Any]] = ()) -> None:
        self.tree: dict[str, Any] = {}
        self._flags: dict[Key, str] = {}
        for flag, value in flags.items():
            section, key = FLAGS[flag]
            if value is not None:
                self._flags[section, key] = flag
                self.tree.setdefault(section, {})[key] = typed(section, key, value)
        tables = [{key: value for key, value in each.items() if value is not None} for each in listeners]
        if tables:
            self.tree["listener"] = tables

    def place(self, key: Key, names: Mapping[Key, str]) -> tuple[int, str]:
        """Return the number of the listener, and the flag."""
        if len(key) > 2 and key[0] == "listener" and isinstance(key[1], int):
            return key[1], self._listener_flag(key[1], str(key[2])) or spelled(key, names)
        return 0, self._flags.get(key[:2]) or spelled(key, names)

    def _listener_flag(self, number: int, key: str) -> str | None:
        """Return the flag of a listener's key; `penstock tcp --http :8002` calls its second one's address --http."""
        protocol, first = (self.tree["listener"][each].get("protocol") for each in (number, 0))
        return f"--{protocol}" if key == "listen" and protocol != first else LISTENER_FLAGS.get(key)

    def spell(self, write: Assign) -> str:
        """Return what to write here."""
        flag = LISTENER_FLAGS.get(write.key) or next((flag for flag, (_, key) in FLAGS.items() if key == write.key), "")
        return f"{flag or write.key} {write.value.strip('[]').strip(chr(34))}"


class Defaults:
    """
    What a command assumes where neither file nor environment nor flags say anything.

    Args:
        tree: Tables, as in a file.
    """

    mistakes = ()
    folder = Path()

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree

    def place(self, key: Key, names: Mapping[Key, str]) -> tuple[int, str]:
        """Return 0 and the key."""
        return 0, spelled(key, names)

    def spell(self, write: Assign) -> str:
        """Return what to write."""
        return f"{write.key} = {write.value}"


def typed(section: str, key: str, value: Any) -> Any:
    """
    Return text as what its key takes: the environment and the command line know text alone.

    A whole number, `true` or `false`; a list or a table is written as in a file. What cannot be read stays text.
    """
    field = _field(section, key)
    if not isinstance(value, str) or field is None:
        return value
    if any(isinstance(kind, Whole) for kind in field.metadata):
        return int(value) if re.fullmatch(r"[0-9]{1,18}", value, re.ASCII) else value
    if bool in (field.annotation, *get_args(field.annotation)):
        return {"true": True, "false": False}.get(value, value)
    return _toml(value) if _is_composed(field.annotation) and len(value) <= TOML_CHARACTERS else value


def _is_composed(annotation: Any) -> bool:
    return get_origin(annotation) is list or (isinstance(annotation, type) and issubclass(annotation, Table))


def _toml(text: str) -> Any:
    try:
        (value,) = tomllib.loads(f"value = {text}").values()
    except (ValueError, RecursionError):  # no TOML, or more than one key
        return text
    return value


def _field(section: str, key: str) -> FieldInfo | None:
    table = Config.model_fields[section].annotation if section in Config.model_fields else None
    if not (isinstance(table, type) and issubclass(table, Table)):
        return None
    return table.model_fields.get(key)


def _safe(variable: str) -> str:
    return printable(variable[:200])
