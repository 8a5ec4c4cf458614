"""Penstock: an observable network proxy. Python decides, the kernel carries, the ledger remembers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.base.errors import ConfigurationError, PenstockError, StartError
    from penstock.config.objects import Listener, Match, Route, Target
    from penstock.node.embedding import Penstock
    from penstock.policy.actions import Action, Answer, Block, Facts, Forward, Redirect

__version__ = "0.1.0"

__all__ = [
    "Action", "Answer", "Block", "ConfigurationError", "Facts", "Forward", "Listener", "Match", "Penstock",
    "PenstockError", "Redirect", "Route", "StartError", "Target", "__version__",
]  # fmt: skip

_HOMES = {
    "Penstock": "penstock.node.embedding",
    "ConfigurationError": "penstock.base.errors",
    "PenstockError": "penstock.base.errors",
    "StartError": "penstock.base.errors",
    "Listener": "penstock.config.objects",
    "Match": "penstock.config.objects",
    "Route": "penstock.config.objects",
    "Target": "penstock.config.objects",
    "Action": "penstock.policy.actions",
    "Answer": "penstock.policy.actions",
    "Block": "penstock.policy.actions",
    "Facts": "penstock.policy.actions",
    "Forward": "penstock.policy.actions",
    "Redirect": "penstock.policy.actions",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for, and nothing else: a worker that imports a handler loads no supervisor."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - most who import this package ask for nothing

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """Return the names that there are for programs, loaded or not."""
    return sorted({*globals(), *__all__})
