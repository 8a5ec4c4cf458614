"""
Families as Prometheus text 0.0.4 and as OpenMetrics 1.0.

Written by hand, because prometheus_client's writers take five times as long: they look at each label of each sample
anew. They are the oracle of the tests instead: both write the same bytes.
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from penstock.metrics.catalog import Family
from penstock.metrics.exporters.families import Reading, names_of, number
from penstock.metrics.histogram import Distribution

COMPRESSION = 1
"""Level of gzip: metrics shrink tenfold at the fastest already."""

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Format(Enum):
    """What can be served; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(readings: Iterable[Reading], form: Format, *, compressed: bool = False) -> bytes:
    """
    Return metrics as a scraper reads them.

    Args:
        readings: Families; none at all make an empty answer that is valid.
        form: In which form.
        compressed: Whether to gzip them.
    """
    text = "".join(line for reading in readings for line in _family(reading, form))
    body = (text + "# EOF\n" if form is Format.OPENMETRICS else text).encode("utf-8", "replace")
    return gzip.compress(body, COMPRESSION, mtime=0) if compressed else body


def render_push(readings: Iterable[Reading], labels: Mapping[str, str], at_ms: int) -> bytes:
    """
    Return metrics as a store takes them that nobody scrapes for: gzipped text, each sample with its time.

    Args:
        readings: Families.
        labels: What a scraper would have added to each sample, such as `job` and `instance`.
        at_ms: When they were taken; unit ms since the epoch.
    """
    pairs, stamp = _pairs(labels.items()), f" {at_ms}"
    text = "".join(line for reading in readings for line in _family(reading, Format.TEXT, pairs, stamp))
    return gzip.compress(text.encode("utf-8", "replace"), COMPRESSION, mtime=0)


def _family(reading: Reading, form: Format, pairs: str = "", stamp: str = "") -> Iterator[str]:
    family = reading.family
    name = family.name.removesuffix("_total") if form is Format.OPENMETRICS else family.name
    yield f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"
    before = pairs + "," if pairs and family.labels else pairs
    for values, value in reading.numbers.items():
        own = before + _pairs(zip(family.labels, values, strict=True))
        yield f"{family.name}{_braced(own)} {number(value)}{stamp}\n"
    for values, found in reading.distributions.items():
        own = before + _pairs(zip(family.labels, values, strict=True))
        yield from _histogram(family, own, found, stamp)


def _histogram(family: Family, pairs: str, found: Distribution, stamp: str) -> Iterator[str]:
    """Yield the lines of one histogram. A scrape is mostly of these, so nothing is made twice."""
    bucket, count, total = family.parts
    before = f"{bucket}{{{pairs},le=" if pairs else f"{bucket}{{le="
    below = found.cumulative()
    for bound, value in zip(names_of(found.bounds), below, strict=True):
        yield f'{before}"{bound}"}} {value}{stamp}\n'
    braced = _braced(pairs)
    yield f"{count}{braced} {below[-1]}{stamp}\n{total}{braced} {number(found.sum)}{stamp}\n"


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join([f'{label}="{value.translate(_ESCAPES)}"' for label, value in labels])


def _braced(pairs: str) -> str:
    return f"{{{pairs}}}" if pairs else ""
