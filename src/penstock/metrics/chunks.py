"""
Samples of some seconds as bytes: what a ring has taken since it was last asked, of those keys that did something.

A chunk is sparse by key and dense by time: one time in it costs 16 bytes, and each key that is in it 4 bytes a column.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from penstock.metrics.growth import Numbers
from penstock.metrics.rings import Ring
from penstock.metrics.saved import SavedError

SAMPLES = 100_000
"""Samples in one chunk that are believed; a day has 86,400 seconds."""


class Chunk(Struct, frozen=True, kw_only=True):
    """
    Samples, oldest first.

    Args:
        version: Of this struct.
        keys: Names that did something.
        columns: Numbers of each.
        at: Wall seconds that the samples end on; 64-bit integers.
        covered: Time that they cover; unit s, 64-bit floats.
        sums: Growth; shape (samples, keys, columns), 32-bit floats.
    """

    version: Literal[1] = 1
    keys: tuple[str, ...]
    columns: int
    at: bytes
    covered: bytes
    sums: bytes


def cut(ring: Ring, told: int, keys: Sequence[str | None], since: Numbers | None = None) -> Chunk | None:
    """
    Return what a ring has taken.

    Args:
        ring: The samples.
        told: How many samples had been pushed when it was asked before.
        keys: Whose they are; None for nobody's.
        since: The number of the first sample that belongs to each key; those before are the first key's. None if all
            samples are theirs.

    Returns:
        A chunk of at most as many samples as the ring shows; None if there are none.
    """
    count = min(ring.end - told, ring.depth)
    if count <= 0:
        return None
    numbers = np.arange(ring.end - count, ring.end)
    slots = numbers % len(ring.at)
    samples = ring.samples[slots]
    if since is not None:
        before = numbers[:, None] < since
        samples[:, 0] += np.einsum("nkc,nk->nc", samples, before.astype(np.float32))
        samples[before] = 0
    moved = [each for each in np.flatnonzero(samples.any(axis=(0, 2))).tolist() if keys[each] is not None]
    return Chunk(
        keys=tuple(str(keys[each]) for each in moved),
        columns=samples.shape[2],
        at=ring.at[slots].astype("<i8").tobytes(),
        covered=ring.covered[slots].astype("<f8").tobytes(),
        sums=samples[:, moved].astype("<f4").tobytes(),
    )


def fill(ring: Ring, chunks: Iterable[Chunk], places: Mapping[str, int], rest: int | None = None) -> None:
    """
    Begin a ring with the samples of an earlier run. One that has samples of its own already stays as it is.

    Args:
        ring: What is to be filled.
        chunks: Oldest first.
        places: Whose place each name is.
        rest: The place of all other names; None leaves them out.

    Raises:
        SavedError: If a chunk holds what no ring has taken; nothing is filled then.
    """
    read = [_read(chunk, ring.samples.shape[2]) for chunk in chunks]
    if ring.end or not read:
        return
    left = ring.depth
    found: list[tuple[Chunk, _Arrays]] = []
    for chunk, arrays in reversed(read):  # the newest are those that count
        if left <= 0:
            break
        found.append((chunk, tuple(array[-left:] for array in arrays)))  # type: ignore[arg-type]
        left -= len(arrays[0])
    for chunk, (at, covered, sums) in reversed(found):
        grown = np.zeros((len(at), *ring.samples.shape[1:]), np.float32)
        for number, key in enumerate(chunk.keys):
            place = places.get(key, rest)
            if place is not None:
                grown[:, place] += sums[:, number]
        ring.extend(grown, at, covered)


_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def _read(chunk: Chunk, columns: int) -> tuple[Chunk, _Arrays]:
    if len(chunk.at) % 8 or len(chunk.at) != len(chunk.covered) or len(chunk.at) // 8 > SAMPLES:
        raise SavedError("Chunk: times are missing")
    count = len(chunk.at) // 8
    if chunk.columns != columns or len(chunk.sums) != 4 * count * len(chunk.keys) * columns:
        raise SavedError("Chunk: samples are missing")
    at, covered = np.frombuffer(chunk.at, "<i8"), np.frombuffer(chunk.covered, "<f8")
    sums = np.frombuffer(chunk.sums, "<f4").reshape(count, len(chunk.keys), columns)
    sound = (covered > 0).all() and (covered < 1e9).all() and (np.abs(at) < 2**40).all()
    if not (sound and (sums >= 0).all() and (sums < 1e19).all()):
        raise SavedError("Chunk: a sample is none")
    return chunk, (at, covered, sums)
