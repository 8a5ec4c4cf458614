"""The door of this room: files, environment and flags in, a node's plan out."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.base.errors import ConfigurationError
from penstock.config.compile import this_machine
from penstock.config.files import File, find, read
from penstock.config.layered import Layered
from penstock.config.layers import Environment, Flags
from penstock.config.plan import NodePlan

ETC = Path("/etc/penstock")


def load(
    config: str | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path = Path(),
    etc: Path = ETC,
) -> NodePlan:
    """
    Return the plan that files, environment and flags make together.

    Args:
        config: The file that `--config` names; None to look for one (see `files.find`).
        flags: Values by flag, of `layers.FLAGS`; None for what was not given.
        environ: The environment; None for this process's own.
        cwd: Working directory.
        etc: The machine's own configuration directory.

    Raises:
        ConfigurationError: With every mistake at once.
    """
    return layered(config, flags=flags, environ=environ, cwd=cwd, etc=etc).plan()


def layered(
    config: str | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path = Path(),
    etc: Path = ETC,
) -> Layered:
    """
    Return what files, environment and flags say, for plans to be made of it.

    Args:
        config, flags, environ, cwd, etc: As of `load`.

    Raises:
        ConfigurationError: If a file cannot be read, or is no TOML.
    """
    environ = os.environ if environ is None else environ
    files = _read_all(find(config, environ, cwd, etc))
    return Layered([*files, Environment(environ), Flags(flags or {})], files[0], this_machine(environ))


def _read_all(paths: list[Path]) -> list[File]:
    files, mistakes = [], []
    for path in paths:
        try:
            files.append(read(path))
        except ConfigurationError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigurationError(mistakes)
    return files
