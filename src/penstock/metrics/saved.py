"""
What is kept of numbers across a restart: written as bytes, and read again whoever may have changed them.

Names stand for ids: a plan that was changed gives other ids to the same listeners.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct

from penstock.base.errors import PenstockError
from penstock.metrics.growth import CLOSED, COLUMNS, OPENED, Numbers
from penstock.metrics.scopes import Scopes

MOST = 2**62
"""The largest number that is believed; of all names together too, so that no sum overflows 63 bits."""

GONE = 10_000
"""Names that no plan has any more and that are kept by themselves; the rest is nobody's. Ten times the trackers."""

KEYS = 16_384
"""Names of clients, users or destinations that are believed: more than `metrics.clients` may ask for."""

TOTALS = 4
"""Numbers of each of them; as many as `keys.TOTALS`."""

Whole = Annotated[int, Meta(ge=0, le=MOST)]

Column = Annotated[tuple[Whole, ...], Meta(min_length=COLUMNS, max_length=COLUMNS)]
"""Totals of one name, in the order of `growth.COLUMNS`."""

Key = tuple[str, ...]

NOBODY: Key = ("-",)

Rows = tuple[tuple[Key, Column], ...]
"""Totals by name."""

Saved = TypeVar("Saved", bound=Struct)


class SavedError(PenstockError):
    """What was kept is not what was once written; the message says what is wrong with it."""


class Bins(Struct, frozen=True, array_like=True):
    """
    Numbers counted by bound.

    Args:
        counts: By bucket.
        sum: Of all numbers.
    """

    counts: tuple[Whole, ...]
    sum: Annotated[float, Meta(ge=0, le=1e300)]


def bounded(rows: Rows) -> Rows:
    """Return rows whose sums are believed; raises SavedError for others."""
    if any(sum(column[number] for _, column in rows) > MOST for number in range(COLUMNS)):
        raise SavedError("totals are too large")
    return rows


def serialize(value: Struct) -> bytes:
    """Return a value as bytes."""
    return msgspec.msgpack.encode(value)


def parse(raw: bytes, type_: type[Saved]) -> Saved:
    """
    Return the value that `serialize` was given.

    Args:
        raw: Any bytes.
        type_: What they should be.

    Raises:
        SavedError: If they are not.
    """
    try:
        return msgspec.msgpack.decode(raw, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SavedError(f"{type_.__name__}: {error}") from error


class SavedKeys(Struct, frozen=True, kw_only=True):
    """
    Totals of clients, users or destinations.

    Args:
        version: Of this struct.
        names: Theirs, each once.
        totals: Of each; shape (numbers, names), 64-bit integers.
        evicted: How many lost their place to others, in all.
    """

    version: Literal[1] = 1
    names: tuple[str, ...]
    totals: bytes
    evicted: Whole

    def numbers(self) -> Numbers:
        """
        Return the totals; shape (`TOTALS`, names).

        Raises:
            SavedError: If they cannot be believed.
        """
        count = len(self.names)
        if len(self.totals) != 8 * TOTALS * count or count > KEYS or len(set(self.names)) != count:
            raise SavedError("SavedKeys: names and numbers do not match")
        found = np.frombuffer(self.totals, "<i8").reshape(TOTALS, count).astype(np.int64)
        if (found < 0).any() or (found.sum(axis=1, dtype=np.float64) > MOST).any():
            raise SavedError("SavedKeys: a total is none")
        return found


class Named:
    """
    Totals of one kind by name, of a plan that has given them ids.

    Args:
        own: Returns the column in which a name is counted; None for a name that the plan does not have.
        spill: Returns the column in which such a name is counted with others; None for nowhere.
        keys: Returns the names of columns; columns without one are nobody's, which is called `-`.

    Attributes:
        gone: Totals of names that the plan no longer has, each with its column.
    """

    def __init__(
        self,
        own: Callable[[Key], int | None],
        spill: Callable[[Key], int | None],
        keys: Callable[[], Mapping[int, Key]],
    ) -> None:
        self._own, self._spill, self._keys = own, spill, keys
        self.gone: dict[Key, tuple[int | None, Numbers]] = {}

    def export(self, table: Numbers) -> Rows:
        """Return totals by name; shape (COLUMNS, ids)."""
        left, keys = table.copy(), self._keys()
        for place, numbers in self.gone.values():
            if place is not None:
                left[:, place] -= numbers
        rows = [(keys.get(each, NOBODY), left[:, each]) for each in np.flatnonzero(left.any(axis=0)).tolist()]
        rows += [(key, numbers) for key, (_, numbers) in self.gone.items()]
        found: dict[Key, Numbers] = {}
        for key, numbers in rows:
            found[key] = found[key] + numbers if key in found else numbers
        return tuple((key, tuple(numbers.tolist())) for key, numbers in found.items())

    def restore(self, rows: Rows, *, goes_on: bool = False) -> Numbers:
        """Return a table of what rows say, each connection of them over unless it goes on; shape (COLUMNS, ids)."""
        placed: list[tuple[int, Numbers]] = []
        for key, column in rows:
            numbers, place = counted(column, goes_on=goes_on), self._own(key)
            if place is None:
                place = self._spill(key)
                self._keep(key, place, numbers)
            if place is not None:
                placed.append((place, numbers))
        return table_of(placed)

    def _keep(self, key: Key, place: int | None, numbers: Numbers) -> None:
        if key in self.gone:
            self.gone[key] = place, self.gone[key][1] + numbers
        elif len(self.gone) < GONE:
            self.gone[key] = place, numbers


def table_of(columns: Iterable[tuple[int, Numbers]]) -> Numbers:
    """Return columns of totals as a table, those of one id added up; shape (COLUMNS, highest id + 1)."""
    columns = tuple(columns)
    table = np.zeros((COLUMNS, max((number for number, _ in columns), default=0) + 1), np.int64)
    for number, numbers in columns:
        table[:, number] += numbers
    return table


def counted(column: Column, *, goes_on: bool) -> Numbers:
    """Return totals of a node that is no more: what was open has ended, unless its worker goes on."""
    numbers = np.array(column, np.int64)
    if not goes_on:
        numbers[CLOSED] = numbers[OPENED]
    return numbers


def target_keys(scopes: Scopes) -> dict[Key, int]:
    """Return targets by route, address and number among those of the same route and address."""
    seen: Counter[tuple[str, str]] = Counter()
    keys: dict[Key, int] = {}
    for scope in scopes.targets.values():
        keys[scope.route, scope.address, str(seen[scope.route, scope.address])] = scope.id
        seen[scope.route, scope.address] += 1
    return keys
