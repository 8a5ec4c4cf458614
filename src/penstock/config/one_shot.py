"""A node without a file, as one-shot commands, the demo and tests start it: the same model, the same mistakes."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.config.compile import this_machine
from penstock.config.layered import Layered
from penstock.config.layers import Defaults, Environment, Flags, Layer
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
    return one_shot_layers(listeners, workers=workers, admin=admin, flags=flags, environ=environ).plan()


def one_shot_layers(
    listeners: Sequence[Mapping[str, Any]],
    *,
    workers: int | str | None = None,
    admin: str | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Layered:
    """
    Return what `one_shot` makes its plan of.

    Args:
        listeners, workers, admin, flags, environ: As of `one_shot`.

    Raises:
        ConfigurationError: With every mistake at once; each names its flag.
    """
    environ = os.environ if environ is None else environ
    given = Flags({"--workers": workers, "--admin": admin, **(flags or {})}, listeners)
    layers: list[Layer] = [Defaults({"admin": {"listen": "off"}}), Environment(environ), given]
    first = listener_names(settle(Written(layers, given)).config.listener)[0]
    name = f"{first[:52]}-{os.getpid()}"  # a pid has at most 7 digits
    return Layered(layers, given, this_machine(environ)._replace(name=name, keeps=False, file=first))
