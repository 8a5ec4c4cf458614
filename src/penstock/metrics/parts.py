"""
What of a registry outlives a restart.

Its parts, of which the newest counts, are bytes of their own each: one that is damaged takes no other with it.
Its series are taken piece by piece, and each piece once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from penstock.metrics.chunks import Chunk
from penstock.metrics.endings import SavedEndings
from penstock.metrics.registry import Registry
from penstock.metrics.rollups import Minute, SavedMinute
from penstock.metrics.saved import SavedError, parse, serialize
from penstock.metrics.totals import SavedTotals

SAMPLES = ("seconds",)
"""Kinds of samples."""

Part = tuple[type[Struct], Callable[[Registry], Any]]

PARTS: dict[str, Part] = {
    "totals": (SavedTotals, lambda registry: registry),
    "endings": (SavedEndings, lambda registry: registry.endings if registry.collection.percentiles else None),
    "trackers": (SavedMinute, lambda registry: registry.trackers if registry.collection.series else None),
}
"""What each part is, and what has `export` and `restore` for it, in the order in which they are restored. None is off:
what was kept then stays as it is."""


class Taken(NamedTuple):
    """
    What was sampled since it was last asked.

    Args:
        samples: Seconds by kind, of `SAMPLES`.
        minutes: Minutes that are over.
    """

    samples: dict[str, bytes]
    minutes: tuple[Minute, ...]


def take(registry: Registry) -> Taken:
    """Return what was sampled since this was last called: it is given out once."""
    chunk, minutes = registry.trackers.take()
    return Taken({"seconds": serialize(chunk)} if chunk else {}, minutes)


def load(registry: Registry, samples: Mapping[str, Sequence[bytes]], minutes: Sequence[Minute]) -> list[str]:
    """
    Begin the series with those of an earlier run, before any part is restored.

    Args:
        registry: One that has no samples yet.
        samples: By kind, oldest first.
        minutes: Oldest first.

    Returns:
        A line for each kind that begins anew.
    """
    if not registry.collection.series:
        return []
    try:
        registry.trackers.load([parse(raw, Chunk) for raw in samples.get("seconds", ())], minutes)
    except SavedError as error:
        return [f"seconds: {error}"]
    return []


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
