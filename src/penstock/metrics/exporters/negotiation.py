"""
Which form a scraper gets (RFC 9110 section 12).

Our own, because prometheus_client's `choose_encoder` takes the first form that it knows and ignores q-values.
"""

from collections.abc import Sequence
from typing import NamedTuple

from penstock.metrics.exporters.prometheus import Format

RANGES = 32
"""Parts of an Accept header that are looked at; Prometheus sends five."""


class Range(NamedTuple):
    """
    One part of an Accept header.

    Args:
        media: Type and subtype, or a name such as `gzip`; `*` and `*/*` match all.
        parameters: Lower-case names and values, without q.
        quality: 0 to 1; 0 for never.
    """

    media: str
    parameters: dict[str, str]
    quality: float


_OFFERS: dict[Format, tuple[str, tuple[str, ...]]] = {
    Format.TEXT: ("text/plain", ("0.0.4",)),
    Format.OPENMETRICS: ("application/openmetrics-text", ("1.0.0", "0.0.1")),
}
"""Media type of each form, and versions that it satisfies. The first one wins a tie."""


def choose_format(accept: str) -> Format:
    """
    Return the form that a scraper likes best.

    Args:
        accept: Its Accept header; empty for none. If it likes nothing that there is, it gets text, as every exporter of
            Prometheus does: a scraper that cannot read it says so better than a 406 could.
    """
    ranges = parse(accept)
    qualities = {form: _quality(ranges, *offer) for form, offer in _OFFERS.items()}
    best = max(qualities, key=lambda form: qualities[form])
    return best if qualities[best] > 0 else Format.TEXT


def preferred(accept: str, offers: Sequence[str]) -> str:
    """
    Return the media type that a client likes best, the first one if it likes none of them or all alike.

    Args:
        accept: Its Accept header; empty for none.
        offers: What there is.
    """
    ranges = parse(accept)
    return max(offers, key=lambda media: _quality(ranges, media, ()))


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether a body may be gzipped, by its Accept-Encoding header; empty for none."""
    qualities = {each.media: each.quality for each in parse(accept_encoding)}
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0


def parse(header: str) -> list[Range]:
    """Return the parts of an Accept or Accept-Encoding header; parts that are none are left out."""
    ranges = []
    for part in header.split(",")[:RANGES]:
        media, *rest = (piece.strip() for piece in part.split(";"))
        parameters = dict(_parameter(piece) for piece in rest)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if media and 0 <= quality <= 1:
            ranges.append(Range(media.lower(), parameters, quality))
    return ranges


def _parameter(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()


def _quality(ranges: list[Range], media: str, versions: tuple[str, ...]) -> float:
    """Return what the most specific range that matches says (RFC 9110 section 12.5.1); equals count by the highest."""
    matching = []
    for each in ranges:
        version = each.parameters.get("version")
        if each.media == media and (version is None or version in versions):
            matching.append((2 + (version is not None), each.quality))
        elif each.media in (media.partition("/")[0] + "/*", "*/*"):
            matching.append((each.media != "*/*", each.quality))
    return max(matching)[1] if matching else 0.0
