"""The door of this room: files, environment and flags in, a node's plan out."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.base.errors import ConfigurationError
from penstock.config.compile import compile_plan, this_machine
from penstock.config.files import File, find, read
from penstock.config.layers import Environment, Flags
from penstock.config.plan import NodePlan
from penstock.config.settle import settle
from penstock.config.written import Written

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
    environ = os.environ if environ is None else environ
    files = _read_all(find(config, environ, cwd, etc))
    written = Written([*files, Environment(environ), Flags(flags or {})], files[0])
    return compile_plan(settle(written), this_machine(environ))


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
