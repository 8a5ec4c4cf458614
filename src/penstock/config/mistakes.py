"""What is wrong with a configuration: found by key, told in one line, with no secret in it."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from penstock.base.errors import PenstockError

Key = tuple[str | int, ...]
"""Where a value stands: section and key, or list, number from 0 and key."""

MISTAKES = 100
"""Mistakes told at once; whoever makes more has given us the wrong file. Compilers stop at 20 to 100."""

VALUE_CHARACTERS = 60
"""Of a wrong value, in its message: a terminal line holds it beside the rest."""

WHAT_CHARACTERS = 300
"""Of an explanation, which may quote a part of the value."""

_SECRET = re.compile(r"pass(?!ive|through)|pwd|secret|token|auth|user|cred|key", re.IGNORECASE)
_LOGIN = re.compile(r"(?<![^\s'\"/\[\]])[^\s'\"/\[\]]+@")  # begins at a word's begin only: linear in any text
_PATHS = ("_file", "_dir")
_EACH = "_per_user"  # how much one may have is no secret
_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)


class Wrong(PenstockError, ValueError):  # noqa: N818 - it reads as what it says: raise Wrong(...)
    """
    A value is none that its key takes.

    Args:
        what: What is wrong with it. It never repeats a secret.
        write: A value to write instead, as TOML spells it; empty where none can be guessed.
    """

    def __init__(self, what: str, write: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.write = write


class Assign(NamedTuple):
    """
    A key to write, whatever its source calls it.

    Args:
        key: As in the file.
        value: As TOML spells it.
    """

    key: str
    value: str


class Mistake(NamedTuple):
    """
    One mistake.

    Args:
        key: Where it stands.
        what: What is wrong.
        write: What to write instead: free text, or a key with its value; empty for nothing.
        present: Whether there is a value.
        hidden: Whether it must not be shown, whatever its key is called.
    """

    key: Key
    what: str
    write: str | Assign = ""
    present: bool = True
    hidden: bool = False


def shown(key: Key, value: Any) -> str:
    """
    Return a value as an error may show it: short, on one line, `***` for what could be a secret.

    Args:
        key: Where it stands.
        value: Anything that TOML, the environment or a flag can hold.
    """
    if is_secret(key):
        return "***"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "***" if "PRIVATE KEY" in value else quoted(value)
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge number"
    return str(value)


def is_secret(key: Key) -> bool:
    """Return whether the value at `key` may be a secret: a login, or an unknown key that is called like one."""
    if key[:1] == ("metrics",):  # how many users are counted is no secret
        return False
    words = [part for part in key if isinstance(part, str)]
    if words[:2] == ["limits", "users"]:  # nor who has a limit
        words = words[2:]
    if words[-1:] == ["key"] and {"certificates", "target_tls", "tls"} & set(words):  # the path of a key's file
        return False
    return any(_SECRET.search(word.removesuffix(_EACH)) and not word.endswith(_PATHS) for word in words)


def quoted(text: str) -> str:
    """Return text in quotes, at most VALUE_CHARACTERS of it; what cannot be printed is escaped, logins are hidden."""
    return repr(cut(hide_logins(text), VALUE_CHARACTERS))


def printable(text: str) -> str:
    """Return text on one line, with whatever a terminal would obey instead of showing it escaped."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def hide_logins(text: str) -> str:
    """Return text without what stands before an `@`: `http://***@host`, even if a password holds slashes or spaces."""
    scheme, end = text.find("://"), text.rfind("@")
    if 0 <= scheme < end:
        text = f"{text[:scheme]}://***{text[end:]}"
    return _LOGIN.sub("***@", text)


def cut(text: str, characters: int) -> str:
    """Return at most `characters` of a text, the last three of them dots where it was longer."""
    return text if len(text) <= characters else text[: characters - 3] + "..."


def spelled(key: Key, names: Mapping[Key, str] | None = None) -> str:
    """
    Return a key as operators read it: `timeouts.idle`, `listener[web].listen`.

    Args:
        key: The key.
        names: What the items of lists are called, by their keys; others are shown by their number, the first one 1.
    """
    text = ""
    for depth, part in enumerate(key, 1):
        if isinstance(part, int):
            text += f"[{(names or {}).get(key[:depth]) or part + 1}]"
        else:
            word = part if _BARE.fullmatch(part) else quoted(part)
            text += f".{word}" if text else word
    return text
