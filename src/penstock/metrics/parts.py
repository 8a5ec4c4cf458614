"""
What of a registry outlives a restart.

Its parts, of which the newest counts, are bytes of their own each: one that is damaged takes no other with it.
Its series are taken piece by piece, and each piece once.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct

from penstock.config.plan import MetricsPlan
from penstock.metrics import keys
from penstock.metrics.chunks import Chunk
from penstock.metrics.endings import SavedEndings
from penstock.metrics.keyed import Keyed
from penstock.metrics.kinds import KINDS
from penstock.metrics.registry import Registry
from penstock.metrics.requests import SavedRequests
from penstock.metrics.rollups import Minute, SavedMinute
from penstock.metrics.saved import SavedError, SavedKeys, parse, serialize
from penstock.metrics.totals import SavedTotals

SECONDS = "seconds"
"""The kind of full trackers' samples; those of short trackers are called as their kind."""


def _keyed(kind: str, registry: Registry) -> Keyed | None:
    return registry.kinds.trackers.get(kind)


def retention(plan: MetricsPlan) -> dict[str, int]:
    """Return for how long samples of each kind are kept; unit s."""
    return {SECONDS: plan.seconds, **dict.fromkeys(KINDS, keys.SECONDS)}


Part = tuple[type[Struct], Callable[[Registry], Any]]

PARTS: dict[str, Part] = {
    "totals": (SavedTotals, lambda registry: registry),
    "requests": (SavedRequests, lambda registry: registry.requests),
    "endings": (SavedEndings, lambda registry: registry.endings if registry.collection.percentiles else None),
    "trackers": (SavedMinute, lambda registry: registry.trackers if registry.collection.series else None),
    "minutes": (SavedMinute, lambda registry: registry.minutes),
    **{kind: (SavedKeys, partial(_keyed, kind)) for kind in KINDS},
}
"""What each part is, and what has `export` and `restore` for it, in the order in which they are restored. None is off:
what was kept then stays as it is."""


class Taken(NamedTuple):
    """
    What was sampled since it was last asked.

    Args:
        samples: By kind; see `retention`.
        minutes: Minutes that are over.
    """

    samples: dict[str, bytes]
    minutes: tuple[Minute, ...]


def keep(registry: Registry) -> None:
    """Have minutes wait for who takes them."""
    registry.trackers.keeps = registry.minutes.keeps = True


def take(registry: Registry) -> Taken:
    """Return what was sampled since this was last called: it is given out once."""
    seconds, minutes = registry.trackers.take()
    chunks = {SECONDS: seconds, **{kind: tracker.take() for kind, tracker in registry.kinds.trackers.items()}}
    registry.minutes.gather(registry.kinds)
    samples = {kind: serialize(chunk) for kind, chunk in chunks.items() if chunk is not None}
    return Taken(samples, (*minutes, *registry.minutes.take()))


class Kept(NamedTuple):
    """
    What an earlier run has left.

    Args:
        parts: What `export` returned; parts may be missing.
        samples: By kind, oldest first.
        minutes: Oldest first.
        goes_on: Whether its workers still run, and their ledgers are read on.
    """

    parts: Mapping[str, bytes]
    samples: Mapping[str, Sequence[bytes]] = {}
    minutes: Sequence[Minute] = ()
    goes_on: bool = False


def restore(registry: Registry, kept: Kept) -> list[str]:
    """
    Add what an earlier run counted, and begin the series with its own if there are none yet.

    Args:
        registry: Of a plan that may be another one.
        kept: What there is.

    Returns:
        A line for each piece that is not what was once written, and that therefore begins anew.
    """
    faults: list[str] = []
    if registry.collection.series:  # before the minute that was not over is put behind them
        chunks = partial(_chunks, kept, SECONDS)
        faults += _tried(SECONDS, lambda: registry.trackers.load(chunks(), kept.minutes))
    for name, (type_, owner) in PARTS.items():
        restored = owner(registry)
        if name in kept.parts and restored is not None:
            more = {"goes_on": kept.goes_on} if name == "totals" else {}
            faults += _tried(name, partial(_restore, restored, kept.parts[name], type_, **more))
    for kind, tracker in registry.kinds.trackers.items():  # after their keys, which have places now
        faults += _tried(f"{kind} samples", partial(_load, tracker, partial(_chunks, kept, kind)))
    return faults


def _tried(name: str, act: Callable[[], None]) -> list[str]:
    try:
        act()
    except SavedError as error:
        return [f"{name}: {error}"]
    return []


def _restore(owner: Any, raw: bytes, type_: type[Struct], **more: bool) -> None:
    owner.restore(parse(raw, type_), **more)


def _load(tracker: Keyed, chunks: Callable[[], list[Chunk]]) -> None:
    tracker.load(chunks())


def _chunks(kept: Kept, kind: str) -> list[Chunk]:
    return [parse(raw, Chunk) for raw in kept.samples.get(kind, ())]


def export(registry: Registry) -> dict[str, bytes]:
    """Return all parts by name."""
    owners = {name: owner(registry) for name, (_, owner) in PARTS.items()}
    return {name: serialize(owner.export()) for name, owner in owners.items() if owner is not None}
