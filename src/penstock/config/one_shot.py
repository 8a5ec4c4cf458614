"""A node without a file, as one-shot commands, the demo and tests start it: the same model, the same mistakes."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.config.compile import compile_plan, this_machine
from penstock.config.layers import Defaults, Environment, Flags
from penstock.config.plan import NodePlan
from penstock.config.serving import listener_names
from penstock.config.settle import settle
from penstock.config.written import Written


def one_shot(
    listeners: Sequence[Mapping[str, Any]],
    *,
    workers: int | str | None = None,
    admin: str | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> NodePlan:
    """
    Return the plan of a node that serves these listeners. It keeps nothing unless it is told where.

    Args:
        listeners: Tables as in a file: protocol, listen, targets, auth, users, name, detect; None for what is left out.
        workers: As `--workers`; None for what environment or default say.
        admin: As `--admin`; None for what the environment says, or else no admin door.
        flags: More values by flag, of `layers.FLAGS`.
        environ: The environment; None for this process's own, `{}` to depend on nothing.

    Raises:
        ConfigurationError: With every mistake at once; each names its flag.
    """
    environ = os.environ if environ is None else environ
    given = Flags({"--workers": workers, "--admin": admin, **(flags or {})}, listeners)
    settled = settle(Written([Defaults({"admin": {"listen": "off"}}), Environment(environ), given], given))
    machine = this_machine(environ)
    first = listener_names(settled.config.listener)[0]
    name = f"{first[:52]}-{os.getpid()}"  # a pid has at most 7 digits
    return compile_plan(settled, machine._replace(name=name, keeps=False, file=first))
