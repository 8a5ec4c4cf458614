"""
Families as StatsD and DogStatsD lines, in datagrams.

Counters are told by what they grew since they were last told, gauges as they are. A histogram is told by its parts, all
of which are counters. What counts as told is what was handed over: what could not be sent is part of the next growth.

Gauges go first. They are told anew each time, so if nobody listens it is they who find out (a connected UDP socket says
so at the next send), and no growth is spent on it.
Source: StatsD's own page of metric types, and "DogStatsD protocol 1.0" of Datadog.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import NamedTuple

from penstock.metrics.catalog import PREFIX
from penstock.metrics.exporters.families import Reading, Sample

DATAGRAM_BYTES = 1_432
"""Bytes in one datagram: what passes an Ethernet whole, below IPv6 and a tunnel's head too; StatsD's own advice."""

VALUE_BYTES = 200
"""Of a label's value in a line; Datadog's bound of a tag. So no line comes near a datagram's size."""

DECIMALS = 9
"""Of numbers that are not whole: nanoseconds. Never an exponent, which not every receiver reads."""

SLACK = 1e-9
"""What sums of fractions may be off by, in proportion; a counter that falls by no more has not begun anew."""

GONE = 10_000
"""Series that are remembered after they went; as many as `labels.REMEMBERED` keys of three kinds have."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_NOT_IN_TAGS = re.compile(r"[,|#\s\x00-\x1f\x7f]")


class Series(NamedTuple):
    """
    What a receiver knows a number by.

    Args:
        name: With the labels in it where there are no tags.
        tags: As they end a line; empty for none.
    """

    name: str
    tags: str

    def line(self, value: str, kind: str) -> str:
        """Return one line; the kind is `c` or `g`."""
        return f"{self.name}:{value}|{kind}{self.tags}"


Origin = tuple[str, ...]
"""Where a number comes from: a sample's name and the values of its labels, before any of it is made safe."""


class Line(NamedTuple):
    """
    What is told of one number.

    Args:
        text: One line, or two that go together.
        origin: Whose growth it is; None for a gauge.
        growth: How much.
    """

    text: str
    origin: Origin | None = None
    growth: float = 0


class Total(NamedTuple):
    """What a counter stands at, and what a receiver knows it by."""

    series: Series
    value: float


class Datagram(NamedTuple):
    """
    Lines that travel together.

    Args:
        payload: At most `DATAGRAM_BYTES`.
        grown: Growth that it tells, by where it comes from.
    """

    payload: bytes
    grown: Mapping[Origin, float]


class Teller:
    """
    Knows what a receiver has been told.

    Args:
        prefix: What names begin with, in place of `penstock_`.
        node: Name of the node; a tag where there are tags.
        tags: Whether labels are tags (DogStatsD), or parts of the name (StatsD).
        before: What has been counted so far, and is nobody's growth: a node's totals outlive a restart.
    """

    def __init__(self, prefix: str, node: str, tags: bool, before: Iterable[Reading]) -> None:
        self._prefix, self._node, self._tags = prefix, node, tags
        self._told: dict[Origin, float] = {origin: total.value for origin, total in self._read(before)[1].items()}

    def tell(self, readings: Iterable[Reading]) -> Iterator[Datagram]:
        """
        Yield what there is to tell. Of each datagram that was sent, tell `sent` before the next tick is told.

        Args:
            readings: All families of one tick.
        """
        gauges, counters = self._read(readings)
        self._forget(counters)
        yield from _packed(self._gauge(*each) for each in gauges.items() if isfinite(each[1]))
        yield from _packed(self._growth(counters))

    def sent(self, datagram: Datagram) -> None:
        """The receiver has been told this."""
        for origin, growth in datagram.grown.items():
            self._told[origin] = self._told.get(origin, 0) + growth

    def _read(self, readings: Iterable[Reading]) -> tuple[dict[Series, float], dict[Origin, Total]]:
        """
        Return gauges and counters.

        Two numbers may have one name when labels were made safe. Gauges are added up here; growth is added up by the
        receiver, and is counted apart until then: one of the two may go while the other stays.
        """
        gauges: dict[Series, float] = {}
        counters: dict[Origin, Total] = {}
        for reading in readings:
            for sample in reading.samples():
                series = self._series(sample)
                if reading.family.kind == "gauge":
                    gauges[series] = gauges.get(series, 0) + sample.value
                else:
                    counters[sample.name, *sample.labels.values()] = Total(series, sample.value)
        return gauges, counters

    def _growth(self, counters: Mapping[Origin, Total]) -> Iterator[Line]:
        for origin, (series, total) in counters.items():
            told = self._told.get(origin, 0)
            if total < told - SLACK * told:  # it began anew
                told = self._told[origin] = 0
            text = plain(total - told)
            if total > told and text != "0":
                yield Line(series.line(text, "c"), origin, int(text) if text.isdigit() else float(text))

    def _forget(self, counters: Mapping[Origin, Total]) -> None:
        """Keep what was told of series that are gone: a client that has its label again goes on from where it was."""
        gone = [(origin, told) for origin, told in self._told.items() if origin not in counters]
        here = {origin: told for origin, told in self._told.items() if origin in counters}
        self._told = dict(gone[-GONE:]) | here  # those that went first stand first, and leave first

    def _gauge(self, series: Series, value: float) -> Line:
        text = series.line(plain(value), "g")
        if value < 0 and not self._tags:  # StatsD takes a sign for a change: back to zero first
            return Line(series.line("0", "g") + "\n" + text)
        return Line(text)

    def _series(self, sample: Sample) -> Series:
        name = f"{self._prefix}.{sample.name.removeprefix(PREFIX)}"
        if not self._tags:
            return Series(name + "".join(f".{label}.{safe_name(value)}" for label, value in sample.labels.items()), "")
        labels = {"node": self._node} | sample.labels
        return Series(name, "|#" + ",".join(f"{label}:{safe_tag(value)}" for label, value in labels.items()))


def plain(value: float) -> str:
    """Return a finite number without an exponent, whole if it is whole."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def safe_name(text: str) -> str:
    """Return a label's value as a part of a name: letters, digits, `_` and `-`; dots would be a level of their own."""
    return _NOT_IN_NAMES.sub("_", text)[:VALUE_BYTES] or "_"


def safe_tag(text: str) -> str:
    """Return a label's value as that of a tag, without what ends a tag or a line."""
    cut = _NOT_IN_TAGS.sub("_", text).encode("utf-8", "replace")[:VALUE_BYTES]
    return cut.decode("utf-8", "ignore") or "_"


def _packed(lines: Iterable[Line]) -> Iterator[Datagram]:
    """Yield lines together, as many as fit; a line that is too long for any datagram is left out."""
    size, kept, grown = 0, list[bytes](), dict[Origin, float]()
    for line in lines:
        text = line.text.encode()
        if len(text) > DATAGRAM_BYTES:
            continue
        if kept and size + 1 + len(text) > DATAGRAM_BYTES:
            yield Datagram(b"\n".join(kept), grown)
            size, kept, grown = 0, [], {}
        size += len(text) + bool(kept)
        kept.append(text)
        if line.origin is not None:
            grown[line.origin] = line.growth
    if kept:
        yield Datagram(b"\n".join(kept), grown)
