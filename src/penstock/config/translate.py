"""The validator's findings in the words of the house: what is wrong with which key, and what to write instead."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from penstock.base.errors import AddressError
from penstock.config.later import is_later
from penstock.config.mistakes import Assign, Key, Mistake, Wrong, is_secret
from penstock.config.model import LISTS, Config
from penstock.config.table import Table

FINDINGS = 1_000
"""Of the validator that are looked at: 1 MiB holds 200,000 unknown keys, and each is compared with all known ones."""

LATER = "not supported by this release"


def translate(error: ValidationError) -> list[Mistake]:
    """
    Return one mistake for each finding, for at most FINDINGS of them.

    Args:
        error: What validating a tree as `Config` has raised.
    """
    return [_mistake(each) for each in error.errors(include_url=False)[:FINDINGS]]


def near(word: str, words: Iterable[str]) -> str:
    """Return the one of `words` that was probably meant; empty if none comes near."""
    matches = difflib.get_close_matches(word[:64].lower().replace("-", "_"), list(words), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def table_of(key: Key) -> type[Table] | None:
    """Return the model of the table that a key leads to; None where there is none."""
    table: type[Table] | None = Config
    for part in key:
        if isinstance(part, int):
            continue
        field = table.model_fields.get(part) if table else None
        table = _table_in(field.annotation) if field else None
    return table


def _table_in(annotation: Any) -> type[Table] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Table) else None
    return next((found for each in get_args(annotation) if (found := _table_in(each))), None)


def _field(key: Key) -> FieldInfo | None:
    table = table_of(key[:-1])
    return table.model_fields.get(str(key[-1])) if table and key else None


def _mistake(error: ErrorDetails) -> Mistake:
    key, value = tuple(error["loc"]), error["input"]
    if key and key[-1] == "[key]":  # pydantic's mark for the key of a mapping
        key = key[:-1]
    kind = error["type"]
    if kind == "value_error":
        return _wrong(key, value, error.get("ctx", {})["error"])
    if kind == "missing":
        return _missing(key)
    if kind == "extra_forbidden":
        return _unknown(key, value)
    if kind == "literal_error":
        return _choice(key, value, re.findall(r"'([^']*)'", error.get("ctx", {})["expected"]))
    return _mistyped(key, value, kind) or Mistake(key, error["msg"][:1].lower() + error["msg"][1:])


def _wrong(key: Key, value: Any, error: Exception) -> Mistake:
    if isinstance(error, Wrong):
        return Mistake(key, error.what, error.write)
    text = str(error)
    return Mistake(key, text.removeprefix(f"{value!r}: ") if isinstance(error, AddressError) else text)


def _missing(key: Key) -> Mistake:
    field = _field(key)
    examples = field.examples if field else None
    return Mistake(key, "missing", Assign(str(key[-1]), json.dumps(examples[0])) if examples else "", present=False)


def _unknown(key: Key, value: Any) -> Mistake:
    if is_later(key):
        return Mistake(key, LATER)
    table, word = table_of(key[:-1]), str(key[-1])
    names = [*table.model_fields] if table else []
    home = _outer_with(key)
    if not home and (match := near(word, names)):
        write = f"[[{match}]]" if match in LISTS and len(key) == 1 else match
        return Mistake(key, "unknown key", write, hidden=is_secret((match,)))
    if len(key) == 1 and not isinstance(value, dict):
        home = _section_with(word)
    what = f"unknown key; {home} has it" if home else f"unknown key; known are {', '.join(names)}"
    return Mistake(key, what, hidden=isinstance(value, str))  # who knows what it is: it could be a misspelled password


def _outer_with(key: Key) -> str:
    """Return the nearest table around the one of `key` that knows its word: who writes it there was one too deep."""
    for depth in range(len(key) - 2, 0, -1):
        table = table_of(key[:depth])
        if table and key[-1] in table.model_fields:
            name = ".".join(part for part in key[:depth] if isinstance(part, str))
            return f"[[{name}]]" if isinstance(key[depth - 1], int) else f"[{name}]"
    return ""


def _section_with(word: str) -> str:
    for section in Config.model_fields:
        table = table_of((section,))
        if table and word in table.model_fields:
            return f"[[{section}]]" if section in LISTS else f"[{section}]"
    return ""


def _choice(key: Key, value: Any, choices: list[str]) -> Mistake:
    if is_later(key, value):
        return Mistake(key, f"{LATER}, which has {_either(choices)}")
    match = near(value, choices) if isinstance(value, str) else ""
    return Mistake(key, f"must be {_either(choices)}", f'"{match}"' if match else "")


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


_TYPES: Mapping[str, str] = {
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_type": "must be text",
    "bool_type": "must be true or false",
}


_SWITCHES = dict.fromkeys(("yes", "on", "1", "true"), "true") | dict.fromkeys(("no", "off", "0", "false"), "false")


def _mistyped(key: Key, value: Any, kind: str) -> Mistake | None:
    what = _TYPES.get(kind)
    if what is None:
        return None
    if kind == "bool_type" and str(value).lower() in _SWITCHES:
        return Mistake(key, what, _SWITCHES[str(value).lower()])
    if kind == "list_type" and len(key) == 1 and key[0] in LISTS:
        return Mistake(key, "must be a list of tables", f"[[{key[0]}]]")
    if kind == "list_type" and isinstance(value, str) and len(value) <= 60:
        return Mistake(key, what, json.dumps([value], ensure_ascii=False))
    return Mistake(key, what, f"[{key[0]}]" if kind == "model_type" and len(key) == 1 else "")
