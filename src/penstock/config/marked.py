"""Which keys of listeners and routes hold secrets, and which reach beyond the configuration: read from the models."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_args

from pydantic import SecretStr

from penstock.config.changes import COVER, Section
from penstock.config.http_kinds import Handler
from penstock.config.kinds import FilePath
from penstock.config.listener import Listener
from penstock.config.mistakes import hide_logins
from penstock.config.route import Route
from penstock.config.table import Table

Path = tuple[str, ...]
"""Keys from a table to a value, without numbers of items."""

MODELS: dict[Section, type[Table]] = {"listener": Listener, "route": Route}


@cache
def secrets(section: Section) -> frozenset[Path]:
    """Return the keys whose values are secrets; of a table by user, the values."""
    return frozenset(_found(MODELS[section], lambda part: part is SecretStr))


@cache
def reaching(section: Section) -> frozenset[Path]:
    """Return the keys that name files to read or code to run."""
    return frozenset(_found(MODELS[section], lambda part: isinstance(part, FilePath | Handler)))


def reached(section: Section, table: Any) -> list[Path]:
    """Return those keys of a table, as it was written, that name files or code; a certificate written as text does."""
    known = reaching(section)
    return [
        path for path, leaf in _leaves(table) if path in known or (isinstance(leaf, str) and (*path, "cert") in known)
    ]


def hide(section: Section, table: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a table, as it was written, that shows no secret."""
    hidden: dict[str, Any] = _hidden(table, secrets(section), ())
    return hidden


def _hidden(value: Any, known: frozenset[Path], path: Path) -> Any:
    if path in known:
        return dict.fromkeys(value, COVER) if isinstance(value, dict) else COVER
    if isinstance(value, dict):
        return {key: _hidden(each, known, (*path, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each, known, path) for each in value]
    if isinstance(value, str) and path and any(each[: len(path)] == path for each in known):
        return hide_logins(value)  # a parent may be written as text
    return value


def _found(table: type[Table], wanted: Callable[[Any], bool], path: Path = ()) -> Iterator[Path]:
    for name, field in table.model_fields.items():
        parts = [*field.metadata, *_parts(field.annotation)]
        if any(wanted(part) for part in parts):
            yield (*path, name)
        for part in parts:
            if isinstance(part, type) and issubclass(part, Table):
                yield from _found(part, wanted, (*path, name))


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation is made of, metadata of Annotated among it."""
    yield annotation
    for each in getattr(annotation, "__metadata__", ()):
        yield each
    for each in get_args(annotation):
        yield from _parts(each)


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    else:
        yield path, value
