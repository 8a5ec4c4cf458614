"""
The file of users: `name:$argon2id$...`, one a line; `#` begins a comment. Parsed, and changed line by line.

No message quotes a line: whoever reads it learns no hash.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from penstock.base.bounds import LOGIN_BYTES
from penstock.config.mistakes import MISTAKES, Wrong

USERS = 100_000
"""Most users of one file: a town's library cards. They are read in half a second and take 20 MB."""

LINES = 1_000_000
"""Most lines of one file: users, and comments and empty lines between them."""

FILE_BYTES = 33_554_432
"""Longest file: 100,000 names of 200 bytes with their hashes; unit bytes."""

MEMORY_KIB = 262_144
"""Most memory that one hash may ask for, 256 MiB; RFC 9106 section 4 recommends 64 MiB where 2 GiB are too much."""

PASSES = 64
"""Most passes over it; RFC 9106 recommends 1 to 3."""

LANES = 64
"""Most lanes; RFC 9106 recommends 4."""

COST = re.compile(r"\$argon2id\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,3})\$", re.ASCII)
"""What precedes salt and hash: memory in KiB, passes, lanes."""

_REST = re.compile(r"[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}", re.ASCII)  # salt of 8 to 64 bytes, hash of 16 to 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Users(NamedTuple):
    """
    What a file says.

    Args:
        hashes: By user. Never logged.
        wrong: Line, from 1, and what is wrong with it, of the first MISTAKES of them. No user of a wrong line is among
            the hashes.
    """

    hashes: Mapping[str, str]
    wrong: tuple[tuple[int, str], ...] = ()

    def __repr__(self) -> str:
        return f"Users({len(self.hashes)} users, {len(self.wrong)} wrong lines)"


def parse(content: bytes) -> Users:
    """
    Return what a file says. A user who stands there twice may be neither of the two, and is left out.

    Args:
        content: Any bytes.
    """
    hashes: dict[str, str] = {}
    wrong: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n", LINES), 1):
        try:
            if number > LINES and line:
                raise Wrong(f"more than {LINES:,} lines; the rest is not read")
            found = _line(line)
            if found is None:
                continue
            name, hashed = found
            if name in seen:
                hashes.pop(name, None)
                raise Wrong(f"the user stands in line {seen[name]} already")
            if len(seen) >= USERS:
                raise Wrong(f"more than {USERS:,} users; the rest is not read")
            seen[name] = number
            check_hash(hashed)
            hashes[name] = hashed
        except Wrong as mistake:
            if len(wrong) < MISTAKES:
                wrong.append((number, mistake.what))
            if len(seen) >= USERS:
                break
    return Users(hashes, tuple(wrong))


def _line(line: bytes) -> tuple[str, str] | None:
    """Return the user and the hash of a line; None for a comment and an empty line."""
    if line.lstrip()[:1] in (b"", b"#"):
        return None
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise Wrong(f"not UTF-8: a byte 0x{line[error.start]:02x}") from None
    name, colon, hashed = text.partition(":")
    if not colon:
        raise Wrong("no colon: a line is name:$argon2id$...")
    check_name(name)
    return name, hashed


def check_name(name: str) -> None:
    """
    Check that a name can stand in a file.

    Raises:
        Wrong: If it is none.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= LOGIN_BYTES or ":" in name or _CONTROL.search(name):
        raise Wrong(f"a user's name is 1 to {LOGIN_BYTES} bytes without colons or control characters")
    if name.startswith("\ufeff"):
        raise Wrong("a byte order mark stands before the name: save the file as UTF-8 without one")
    if name.lstrip()[:1] in ("", "#"):
        raise Wrong("a line that begins with # is a comment, and one of spaces nothing: no user has such a name")


def check_hash(hashed: str) -> None:
    """
    Check a hash, and that it asks for no more than a node can spend on a login.

    Raises:
        Wrong: If it is none. The message does not quote it.
    """
    cost = COST.match(hashed)
    if cost is None or not _REST.fullmatch(hashed, cost.end()):
        raise Wrong("no hash of argon2id, version 19: write it with `penstock user add`")
    memory, passes, lanes = map(int, cost.groups())
    if memory > MEMORY_KIB or passes > PASSES or lanes > LANES or memory < 8 * lanes:  # RFC 9106 section 3.1
        raise Wrong(f"the hash costs too much or is none: m at most {MEMORY_KIB}, t {PASSES}, p {LANES}, and m >= 8 p")


def serialize(name: str, hashed: str) -> bytes:
    """
    Return the line of a user.

    Raises:
        Wrong: If the name or the hash can stand in no file.
    """
    check_name(name)
    check_hash(hashed)
    return f"{name}:{hashed}\n".encode()


def put(content: bytes, name: str, hashed: str) -> bytes:
    """
    Return a file in which a user has this hash; all other lines, comments among them, are as they were.

    Args:
        content: Of the file.
        name: Of the user, who stands there or does not.
        hashed: In the words of argon2.

    Raises:
        Wrong: If the name or the hash can stand in no file, or the file would be too long.
    """
    line = serialize(name, hashed)
    lines = _lines(content)
    places = [number for number, each in enumerate(lines) if _is_of(each, name)]
    if places:
        lines[places[0]] = line
        lines = [each for number, each in enumerate(lines) if number not in places[1:]]
    else:
        lines.append(line)
    result = b"".join(lines)
    if len(result) > FILE_BYTES or (not places and sum(map(_is_user, lines)) > USERS):
        raise Wrong(f"a file has at most {USERS:,} users and {FILE_BYTES // 1_048_576} MiB")
    return result


def remove(content: bytes, name: str) -> bytes:
    """Return a file without the lines of a user; the same file if there are none."""
    return b"".join(each for each in _lines(content) if not _is_of(each, name))


def _lines(content: bytes) -> list[bytes]:
    """Return lines that end as lines do; bytes that are no line end to `parse` are none here."""
    return [each + b"\n" for each in content.removesuffix(b"\n").split(b"\n")] if content else []


def _is_user(line: bytes) -> bool:
    return line.lstrip()[:1] not in (b"", b"#")


def _is_of(line: bytes, name: str) -> bool:
    return _is_user(line) and line.startswith(f"{name}:".encode())
