"""
The parts of a registry that outlive a restart, each as bytes of its own: one that is damaged takes no other with it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from penstock.metrics.endings import SavedEndings
from penstock.metrics.registry import Registry
from penstock.metrics.saved import SavedError, parse, serialize
from penstock.metrics.totals import SavedTotals

Part = tuple[type[Struct], Callable[[Registry], Any]]

PARTS: dict[str, Part] = {
    "totals": (SavedTotals, lambda registry: registry),
    "endings": (SavedEndings, lambda registry: registry.endings if registry.collection.percentiles else None),
}
"""What each part is, and what has `export` and `restore` for it, in the order in which they are restored. None is off:
what was kept then stays as it is."""


def export(registry: Registry) -> dict[str, bytes]:
    """Return all parts by name."""
    owners = {name: owner(registry) for name, (_, owner) in PARTS.items()}
    return {name: serialize(owner.export()) for name, owner in owners.items() if owner is not None}


def restore(registry: Registry, parts: Mapping[str, bytes]) -> list[str]:
    """
    Add what an earlier run counted.

    Args:
        registry: Of a plan that may be another one.
        parts: What `export` returned; parts may be missing.

    Returns:
        A line for each part that is not what was once written, and that therefore begins at zero.
    """
    faults = []
    for name, (type_, owner) in PARTS.items():
        restored = owner(registry)
        if name not in parts or restored is None:
            continue
        try:
            restored.restore(parse(parts[name], type_))
        except SavedError as error:
            faults.append(f"{name}: {error}")
    return faults
