"""
What an operator reads: one line an event on standard error.

Coloured on a terminal, logfmt elsewhere, JSON where asked. Clients choose parts of what is logged, so nothing that a
terminal would obey reaches it.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from penstock.base.clock import NS

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

NOTICE_LINES = 20
"""Lines in one second that workers may ask for, all together."""

Event = dict[str, Any]
"""What one line says, by its words; `event` is what has happened."""


class Log(Protocol):
    """Where a node says what happens: what structlog's loggers can do as well, of which a program may give one."""

    def bind(self, **fields: Any) -> "Log":
        """Return a log that adds these fields to each event."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Say what only helps to find a fault."""

    def info(self, event: str, **fields: Any) -> Any:
        """Say what is as it should be."""

    def warning(self, event: str, **fields: Any) -> Any:
        """Say what somebody should look at."""

    def error(self, event: str, **fields: Any) -> Any:
        """Say what somebody must mend."""


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
    lines = Lines(stream)
    render = _renderer(form, stream.isatty(), bool(environ.get("NO_COLOR")))

    def say(level: str, event: Event) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        lines.write(render(event | {"level": level, "timestamp": now}))

    return Events(say, level)


def _renderer(form: str, terminal: bool, no_color: bool) -> Callable[[Event], str]:
    if form == "json":
        return lambda event: json.dumps(event, default=repr)
    if not terminal:
        return lambda event: logfmt(event, ("timestamp", "level", "event"))
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - it loads rich: 80 ms, for colours

    render = ConsoleRenderer(colors=not no_color, pad_event_to=0, sort_keys=False)
    return lambda event: str(render(None, "", event))


class Events:
    """
    A log.

    Args:
        say: Told of each event: its level, and what it says, a dict of its own. Texts in it are printable.
        level: debug, info, warning or error (info for any other word); what is below it is left out.
        fields: What each event says besides.
    """

    __slots__ = ("_fields", "_least", "_say")

    def __init__(self, say: Callable[[str, Event], None], level: str, fields: Mapping[str, Any] | None = None) -> None:
        self._say = say
        self._least = level if level in LEVELS else "info"
        self._fields = dict(fields or {})

    def bind(self, **fields: Any) -> "Events":
        """Return a log that adds these fields to each event."""
        return Events(self._say, self._least, self._fields | fields)

    def debug(self, event: str, **fields: Any) -> None:
        """Say what only helps to find a fault."""
        self._tell("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Say what is as it should be."""
        self._tell("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Say what somebody should look at."""
        self._tell("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Say what somebody must mend."""
        self._tell("error", event, fields)

    def _tell(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if LEVELS[level] >= LEVELS[self._least]:
            self._say(level, tame({**self._fields, **fields, "event": event}))


def logfmt(event: Event, first: tuple[str, ...]) -> str:
    """
    Return an event as `key=value` pairs on one line; where a value holds a space, `=` or `"` it stands in quotes.

    Args:
        event: Tame. Of a value that is True only the key is written; None is written as nothing.
        first: Keys that go before the others.
    """
    keys = [*first, *(key for key in event if key not in first)]
    return " ".join(_pair(key, event[key]) for key in keys)


def _pair(key: str, value: Any) -> str:
    if value is True:
        return key
    text = "" if value is None else "false" if value is False else _printable(str(value))
    if " " in text or "=" in text or '"' in text:
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{key}={text}"


class Lines:
    """
    Writes lines and never fails: a proxy does not die of a closed terminal.

    Args:
        stream: Text stream; each line is flushed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """Write one line; lost if the stream is closed or broken."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass


def tame(event: Event) -> Event:
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
