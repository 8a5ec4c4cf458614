"""Figures as people read them, and texts that strangers chose made safe for a terminal."""

import unicodedata

_STEPS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(count: float) -> str:
    """Return a number of bytes with three significant digits, in steps of 1024: `512 B`, `1.50 KiB`, `12.3 MiB`."""
    value = float(count)
    for unit in _STEPS:
        if value < 999.5 or unit == _STEPS[-1]:
            break
        value /= 1024
    if unit == "B":
        return f"{value:.0f} B"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def rate(per_second: float) -> str:
    """Return bytes per second, as `size` writes them."""
    return f"{size(per_second)}/s"


def number(count: int) -> str:
    """Return a whole number with its thousands apart: `12,345`."""
    return f"{count:,}"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units: `0.4s`, `12s`, `3m12s`, `2h05m`, `4d07h`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600:02d}h"


def printable(text: str) -> str:
    """
    Return a text with everything that could steer a terminal or turn the line around written as an escape.

    A user name or a destination comes from whoever connects: ESC, C1 controls and bidirectional overrides may not reach
    the operator's screen.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c)[0] == "C" else c for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
