"""Configuration files: where they are looked for, and one of them, read with care."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.base.errors import ConfigurationError
from penstock.config.lines import Lines
from penstock.config.mistakes import Assign, Key, printable, spelled

FILE_BYTES = 1_048_576
"""Longest configuration file; a Kubernetes ConfigMap holds 1 MiB. Ten thousand listeners fit."""

DROP_INS = 256
"""Files of one conf.d."""

DEPTH = 128
"""Parts of one dotted key. The parser of Python 3.11 takes memory by the square of it, and ours have three at most."""

_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_DEEP = re.compile(rf"(?<![\w-])(?:{_PART}\.[ \t]*+){{{DEPTH}}}", re.ASCII)
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class File:
    """
    One configuration file.

    Args:
        path: Where it lies, as it is shown.
        text: What stands in it.

    Raises:
        ConfigurationError: If it is no TOML.
    """

    mistakes = ()

    def __init__(self, path: Path, text: str) -> None:
        self.label = printable(str(path))
        self.folder = path.parent
        self.tree: dict[str, Any] = self._parse(text)
        self._lines = Lines(text)

    def place(self, key: Key, names: Mapping[Key, str]) -> tuple[int, str]:
        """Return the line of a key and how to point at it."""
        line = self._lines.find(key)
        return line, f"{self.label}:{line}: {spelled(key, names)}" if line else f"{self.label}: {spelled(key, names)}"

    def spell(self, write: Assign) -> str:
        """Return what to write here."""
        return f"{write.key} = {write.value}"

    def _parse(self, text: str) -> dict[str, Any]:
        if deep := _DEEP.search(text):
            line = text.count("\n", 0, deep.start()) + 1
            raise ConfigurationError([f"{self.label}:{line}: a key has more than {DEPTH} parts"])
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError([f"{self.label}{_explain(str(error), text)}"]) from None
        except (ValueError, OverflowError):  # a number of thousands of digits
            raise ConfigurationError([f"{self.label}: holds a number that is far too long"]) from None
        except RecursionError:
            raise ConfigurationError([f"{self.label}: lists or tables stand too deep in each other"]) from None


def _explain(message: str, text: str) -> str:
    found = _POSITION.search(message)
    if found is None:
        return f": not TOML: {printable(message)}"
    line = found[1] or str(text.count("\n") + 1)
    what = printable(message[: found.start()])
    return f":{line}: not TOML: {what}" + (f", at column {found[2]}" if found[2] else ", at the end of the file")


def read(path: Path) -> File:
    """
    Return a file's content.

    Args:
        path: Where it lies.

    Raises:
        ConfigurationError: If it is missing, unreadable, no regular file, longer than FILE_BYTES, no UTF-8, or no TOML.
    """
    label = printable(str(path))
    try:
        content = read_bounded(path, FILE_BYTES)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{label}:{line}: not UTF-8: a byte 0x{content[error.start]:02x}"]) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"{label}: {why(error)}"]) from None
    return File(path, text)


def read_bounded(path: Path, limit: int) -> bytes:
    """
    Return the bytes of a regular file.

    Args:
        path: Where it lies; anything but a regular file is refused without waiting for it.
        limit: Most bytes that it may have.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no regular file, or longer; the message is for the operator. Or the path holds a zero.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would wait for its writer
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"is longer than {limit // 1024} KiB ({status.st_size:,} bytes)")
    return content


def why(error: OSError | ValueError) -> str:
    """Return why a file could not be read, for the operator."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error) if str(error).startswith("is ") else "is no path"


def find(config: str | None, environ: Mapping[str, str], cwd: Path, etc: Path) -> list[Path]:
    """
    Return the files to read, the strongest last.

    The first of these that there is: `config`, `$PENSTOCK_CONFIG`, `penstock.toml` in the working directory, in
    `$XDG_CONFIG_HOME/penstock`, and in /etc/penstock, this one with all of its `conf.d/*.toml` in the order of names.

    Args:
        config: What `--config` says; None for nothing.
        environ: The environment.
        cwd: The working directory; `Path()` leaves what is found relative.
        etc: /etc/penstock.

    Raises:
        ConfigurationError: If there is none.
    """
    if asked := config if config is not None else environ.get("PENSTOCK_CONFIG"):
        return [Path(asked)]
    if config is not None:
        raise ConfigurationError(["--config: '': must be the path of a file"])
    personal = _xdg(environ)
    for path in (Path("penstock.toml"), personal):
        if path is not None and os.path.lexists(cwd / path):
            return [cwd / path]
    main, drop_ins = etc / "penstock.toml", _drop_ins(etc / "conf.d")
    if os.path.lexists(main) or drop_ins:
        return [main, *drop_ins] if os.path.lexists(main) else drop_ins
    looked = ", ".join(str(path) for path in (Path("penstock.toml"), personal, main) if path is not None)
    raise ConfigurationError([f"no configuration file: looked for {looked}; give one with --config FILE"])


def _xdg(environ: Mapping[str, str]) -> Path | None:
    base = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    return Path(base, "penstock", "penstock.toml") if base else None


def _drop_ins(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".toml" and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigurationError([f"{folder}: {why(error)}"]) from None
    if len(found) > DROP_INS:
        raise ConfigurationError([f"{folder}: holds {len(found)} files; at most {DROP_INS} are read"])
    return found
