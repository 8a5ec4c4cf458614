"""How far a ledger was read: what another supervisor needs to read on, and to count nothing twice."""

from typing import Literal

from msgspec import Struct


class SavedReader(Struct, frozen=True, kw_only=True):
    """
    How far a ledger was read, for the supervisor that reads on.

    Args:
        version: Of this struct.
        magic: What the ledger begins with: its layout.
        generation: Of the worker.
        state, base, target, routed: Of the rows that were ever used, as `LedgerReader` keeps them.
        tallies: What its tallies showed.
        counted: Words of the header.
    """

    version: Literal[1] = 1
    magic: int
    generation: int
    state: bytes
    base: bytes
    target: bytes
    routed: bytes
    tallies: bytes
    counted: dict[int, int]
