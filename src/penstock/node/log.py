"""
What an operator reads: one line an event on standard error.

Coloured on a terminal, logfmt elsewhere, JSON where asked. Clients choose parts of what is logged, so nothing that a
terminal would obey reaches it.
"""

import os
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from penstock.base.clock import NS

Log = FilteringBoundLogger

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

NOTICE_LINES = 20
"""Lines in one second that workers may ask for, all together."""


def make_log(level: str, form: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> Log:
    """
    Return a logger of its own: nothing global is touched, so that an embedding program keeps its logging.

    Args:
        level: debug, info, warning or error; what is below it is left out.
        form: `json`, or `console` for people.
        stream: Where lines go; standard error if None.
        environ: NO_COLOR, if set and not empty, keeps a terminal plain (no-color.org).
    """
    stream = sys.stderr if stream is None else stream
    logger: Log = structlog.wrap_logger(
        Lines(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            tame,
            _renderer(form, stream.isatty(), bool(environ.get("NO_COLOR"))),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(level, LEVELS["info"])),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


def _renderer(form: str, terminal: bool, no_color: bool) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    if terminal:
        return structlog.dev.ConsoleRenderer(colors=not no_color, pad_event_to=0, sort_keys=False)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])


class Lines:
    """
    Writes lines and never fails: a proxy does not die of a closed terminal.

    Args:
        stream: Text stream; each line is flushed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line; lost if the stream is closed or broken."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = msg


def tame(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Return the event with every unprintable character escaped, line ends included: one event is one line."""
    return {key: _printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Allowance:
    """
    How many lines a second a talkative source may have.

    Args:
        lines: In one second, counted from the first line of it.
    """

    __slots__ = ("_began_ns", "_lines", "_used", "skipped")

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._began_ns = 0
        self._used = 0
        self.skipped = 0

    def take(self, now_ns: int) -> bool:
        """
        Return whether another line may be written.

        Args:
            now_ns: Monotonic time; unit ns.
        """
        if now_ns - self._began_ns >= NS:
            self._began_ns, self._used = now_ns, 0
        self._used += 1
        if self._used <= self._lines:
            return True
        self.skipped += 1
        return False

    def take_skipped(self) -> int:
        """Return how many lines were not written since this was last asked."""
        skipped, self.skipped = self.skipped, 0
        return skipped
