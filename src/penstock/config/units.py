"""
Durations (`30s`, `4h`, `250ms`), sizes (`16KiB`, `1MB`), rates (`300/1m`) and bandwidths (`10MiB/s`) as operators write
them. Each parse has its serialize.
"""

import re

from penstock.base.clock import NS
from penstock.config.mistakes import Wrong

DURATION_UNITS = {"d": 86_400 * NS, "h": 3_600 * NS, "m": 60 * NS, "s": NS, "ms": NS // 1_000}
"""Nanoseconds by unit, the longest first."""

SIZE_UNITS = {
    "TiB": 1 << 40, "TB": 10**12, "GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10,
    "KB": 10**3, "B": 1,
}  # fmt: skip
"""Bytes by unit, the largest first; KiB and its kin count in 1024s (IEC 80000-13), KB and its kin in 1000s."""

LONGEST = 3_650 * DURATION_UNITS["d"]
"""Ten years. A signed 64-bit count of nanoseconds holds 292."""

LARGEST = 1 << 60
"""An exbibyte; a signed 64-bit count of bytes holds eight."""

_COUNT = re.compile(r"[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"([0-9]{1,19})\s?([A-Za-z]*)", re.ASCII)

_SIZE = re.compile(r"[0-9]{1,19}[KMGT]?i?B", re.ASCII)

_DURATION_SLIPS = {
    "msec": "ms", "millis": "ms", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m",
    "minute": "m", "minutes": "m", "hour": "h", "hours": "h", "hr": "h", "day": "d", "days": "d",
}  # fmt: skip
_SIZE_SLIPS = {"K": "KiB", "M": "MiB", "G": "GiB", "T": "TiB", "BYTES": "B", "BYTE": "B"}


def parse_duration(text: str) -> int:
    """
    Return a duration; unit ns.

    Args:
        text: A whole number and one of ms, s, m, h, d: `250ms`, `30s`, `5m`, `4h`, `400d`. At most ten years.

    Raises:
        Wrong: If it is anything else; says what to write where that can be guessed.
    """
    number, unit = _split(text, "a duration is a whole number with ms, s, m, h or d", "30s")
    if unit not in DURATION_UNITS:
        meant = _DURATION_SLIPS.get(unit.lower(), unit.lower() if unit.lower() in DURATION_UNITS else "s")
        raise Wrong(_no_unit(unit, "ms, s, m, h or d"), f'"{number}{meant}"')
    duration = number * DURATION_UNITS[unit]
    if duration > LONGEST:
        raise Wrong(f"is longer than ten years ({serialize_duration(LONGEST)})")
    return duration


def serialize_duration(ns: int) -> str:
    """
    Return the shortest text that `parse_duration` reads back.

    Args:
        ns: Nanoseconds, 0 or more; what is finer than a millisecond is left out.
    """
    ns -= ns % DURATION_UNITS["ms"]
    return next(f"{ns // size}{unit}" for unit, size in DURATION_UNITS.items() if ns % size == 0) if ns else "0s"


def parse_size(text: str) -> int:
    """
    Return a size; unit bytes.

    Args:
        text: A whole number and one of B, KiB, MiB, GiB, TiB (1024s), KB, MB, GB, TB (1000s). At most an exbibyte.

    Raises:
        Wrong: If it is anything else; says what to write where that can be guessed.
    """
    number, unit = _split(text, "a size is a whole number with B, KiB, MiB, GiB, TiB, KB, MB, GB or TB", "16KiB")
    if unit not in SIZE_UNITS:
        near = {known.upper(): known for known in SIZE_UNITS}
        meant = _SIZE_SLIPS.get(unit.upper()) or near.get(unit.upper(), "KiB" if unit else "B")
        raise Wrong(_no_unit(unit, "B, KiB, MiB, GiB, TiB, KB, MB, GB or TB"), f'"{number}{meant}"')
    size = number * SIZE_UNITS[unit]
    if size > LARGEST:
        raise Wrong("is more than an exbibyte")
    return size


def serialize_size(size: int) -> str:
    """
    Return the text with the largest unit that `parse_size` reads back to the same number.

    Args:
        size: Bytes, 0 or more.
    """
    return next(f"{size // each}{unit}" for unit, each in SIZE_UNITS.items() if size % each == 0) if size else "0B"


def parse_rate(text: str) -> tuple[int, int, int]:
    """
    Return a rate as how many, in which time, and how many at once, 0 where no burst is written; unit of the time: ns.

    Args:
        text: A whole number, a slash and a duration: `300/1m`, `50/2s`; the unit alone stands for one of it: `100/s`.
            Then what may pass at once after a pause: `300/1m burst 20`.

    Raises:
        Wrong: If it is anything else; says what to write where that can be guessed.
    """
    rate, said, burst = text.partition(" burst ")
    count, slash, time = rate.partition("/")
    if not slash or not _COUNT.fullmatch(count.strip(" ")):
        raise Wrong("a rate is a whole number, a slash and a duration", '"300/1m"')
    if said and not _COUNT.fullmatch(burst.strip(" ")):
        raise Wrong("the burst of a rate is a whole number", f'"{rate.strip(" ")} burst 20"')
    time = time.strip(" ")
    return int(count), parse_duration(f"1{time}" if time.isalpha() else time), _burst(said, burst)


def _burst(said: str, burst: str) -> int:
    if said and not int(burst):
        raise Wrong("the burst of a rate is 1 or more: 0 lets nobody pass")
    return int(burst) if said else 0


def serialize_rate(count: int, ns: int, burst: int = 0) -> str:
    """Return the text that `parse_rate` reads back: so many in so many nanoseconds, whole milliseconds."""
    return f"{count}/{serialize_duration(ns)}" + (f" burst {burst}" if burst else "")


def parse_bandwidth(text: str) -> tuple[int, int]:
    """
    Return a bandwidth as bytes a second, and the bytes of a burst, 0 where none is written.

    Args:
        text: A size and `/s`, and what may pass at once after a pause: `10MiB/s`, `10MiB/s burst 5MiB`.

    Raises:
        Wrong: If it is anything else; says what to write where that can be guessed.
    """
    rate, _, burst = text.partition(" burst ")
    size, slash, second = rate.partition("/")
    if slash and second != "s":
        raise Wrong("a bandwidth is a size for each second", '"10MiB/s"')
    if not slash:
        raise Wrong("a bandwidth is a size and /s", f'"{rate}/s"' if _SIZE.fullmatch(rate) else '"10MiB/s"')
    try:
        most = parse_size(size)
    except Wrong as wrong:
        raise Wrong(wrong.what, f'{wrong.write[:-1]}/s"' if wrong.write else "") from None
    return most, parse_size(burst) if burst else 0


def serialize_bandwidth(rate: int, burst: int = 0) -> str:
    """Return the text that `parse_bandwidth` reads back."""
    return f"{serialize_size(rate)}/s" + (f" burst {serialize_size(burst)}" if burst else "")


def _split(text: str, what: str, example: str) -> tuple[int, str]:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise Wrong(what, f'"{example}"')
    return int(found[1]), found[2]


def _no_unit(unit: str, units: str) -> str:
    return f"{unit!r} is no unit of {units}" if unit else f"a unit is missing: {units}"
