"""Families with all that is known of them, as JSON for programs and as CSV for tables."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from penstock.metrics.exporters.families import Reading, unicode_of
from penstock.metrics.exporters.spreadsheet import to_csv

COLUMNS = ("name", "type", "help", "unit", "labels", "value", "taken_at")
"""Of a table; `labels` is a JSON object."""


class SampleView(Struct, frozen=True):
    """
    One number.

    Args:
        name: The family's, or that of a part of a histogram.
        labels: By name; `le` is the upper bound of a bucket.
        value: The number; None if it is infinite or none at all.
    """

    name: str
    labels: dict[str, str]
    value: float | None


class FamilyView(Struct, frozen=True):
    """
    One metric family.

    Args:
        name: As in `/metrics`.
        type: counter, gauge or histogram.
        help: What it counts.
        unit: bytes, seconds, bytes_per_second, or nothing.
        samples: Its numbers.
    """

    name: str
    type: str
    help: str
    unit: str
    samples: list[SampleView]


class ExportView(Struct, frozen=True):
    """
    Every family at one tick.

    Args:
        taken_at: RFC 3339, UTC.
        families: In the order of `/metrics`.
    """

    taken_at: str
    families: list[FamilyView]


def to_view(readings: Iterable[Reading], taken_at: str) -> ExportView:
    """
    Return all that is known.

    Args:
        readings: Families.
        taken_at: When; RFC 3339.
    """
    return ExportView(taken_at, [_family(reading) for reading in readings])


def to_json(readings: Iterable[Reading], taken_at: str) -> bytes:
    """Return `to_view` as JSON."""
    return msgspec.json.encode(to_view(readings, taken_at))


def to_table(readings: Iterable[Reading], taken_at: str) -> bytes:
    """Return one line for each sample as CSV (RFC 4180), after one of `COLUMNS`; arguments as for `to_view`."""
    rows = (
        (sample.name, family.type, family.help, family.unit, _object(sample.labels), sample.value, taken_at)
        for family in map(_family, readings)
        for sample in family.samples
    )
    return "".join(to_csv(COLUMNS, rows)).encode()


def _family(reading: Reading) -> FamilyView:
    family = reading.family
    samples = [SampleView(name, _safe(labels), value) for name, labels, value in reading.samples()]
    return FamilyView(family.name, family.kind, family.help, family.unit, samples)


def _safe(labels: dict[str, str]) -> dict[str, str]:
    return {name: unicode_of(value) for name, value in labels.items()}


def _object(labels: dict[str, str]) -> str:
    return msgspec.json.encode(labels).decode()
