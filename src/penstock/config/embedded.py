"""The plan of a node that runs within another program: what the program gives, and nothing of its environment."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from penstock.base.errors import ConfigurationError
from penstock.config.compile import Machine, this_machine
from penstock.config.files import File, read
from penstock.config.functions import GIVEN, forget
from penstock.config.layered import Layered
from penstock.config.layers import Defaults, Layer
from penstock.config.objects import Listener, Route, table_of
from penstock.config.plan import NodePlan

ASSUMED = {"node": {"workers": 0}, "admin": {"listen": "off"}}
"""A guest opens no door that nobody asked for, and starts no process."""


class Embedded(NamedTuple):
    """
    What an embedded node is told.

    Args:
        plan: Its plan.
        given: Names of the functions that were given for it (`functions.forget`).
        base: What the plan was made of.
    """

    plan: NodePlan
    given: list[str]
    base: Layered


def embedded(
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    listeners: Sequence[Listener] = (),
    routes: Sequence[Route] = (),
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> Embedded:
    """
    Return the plan of an embedded node. It has no command socket, and keeps nothing unless it is told where.

    Args:
        config: A file, its text, or its tables; None for none of them.
        listeners, routes: More of them.
        sections: More keys, which win over those of `config`, as tables of the file; None for what is left out.

    Raises:
        ConfigurationError: With every mistake at once.
        TypeError: If `config` is of another kind, or `listeners` or `routes` is none of several.
    """
    _check_kinds(config, listeners, routes)
    given: list[str] = []
    try:
        base = _base(config, given)
        more: dict[str, Any] = {
            section: {key: table_of(value, given) for key, value in keys.items() if value is not None}
            for section, keys in (sections or {}).items()
        }
        more |= {"listener": table_of(list(listeners), given), "route": table_of(list(routes), given)}
        layer = Defaults({name: value for name, value in more.items() if value})
        layered = Layered([Defaults(ASSUMED), base, layer], base, _machine(), _without_socket)
        plan = layered.plan()
        _refuse_functions(plan, given)
    except BaseException:
        forget(given)
        raise
    return Embedded(plan, given, layered)


def _check_kinds(config: object, listeners: object, routes: object) -> None:
    """Raise TypeError where something stands in another argument's place."""
    if config is not None and not isinstance(config, str | Path | Mapping):
        what = f"config is a path, the text of a configuration or its tables as a dict, not a {type(config).__name__}"
        objects = isinstance(config, Listener | Route | list | tuple)
        raise TypeError(f"{what}; objects go into listeners=[...] and routes=[...]" if objects else what)
    for name, several in (("listeners", listeners), ("routes", routes)):
        if isinstance(several, str | Mapping) or not isinstance(several, Iterable):
            raise TypeError(f"{name} is a list of them: {name}=[...], not a {type(several).__name__}")


def _without_socket(plan: NodePlan) -> NodePlan:
    return replace(plan, socket_path="")


def _base(config: str | Path | Mapping[str, Any] | None, given: list[str]) -> Layer:
    if isinstance(config, Mapping):
        return Defaults(table_of(config, given))
    if config is None:
        return Defaults({})
    if isinstance(config, str) and ("\n" in config or "=" in config):
        return File(Path("configuration"), config)
    return read(Path(config))


def _machine() -> Machine:
    machine = this_machine({})
    return machine._replace(runtime=Path("/run"), keeps=False)


def _refuse_functions(plan: NodePlan, given: list[str]) -> None:
    """Raise if a function of this process would have to be called in another."""
    if not plan.workers or not given:
        return
    routes = [*(each.route for each in plan.worker.listeners), *plan.worker.routes]
    what = f"a function is known in this process alone, and there are {plan.workers} worker processes"
    names = dict.fromkeys(route.name for route in routes if route.handler.startswith(GIVEN))
    raise ConfigurationError(
        [f'route {name}: handler: {what}; write "module:function", or workers = 0' for name in names]
    )
