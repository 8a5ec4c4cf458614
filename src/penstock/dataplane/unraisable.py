"""
Errors that Python can raise to nobody, such as those of a destructor or of a callback that a library in C asked for.

Python prints a traceback for each. A worker tells its supervisor one line instead, and nothing at all of one that any
client can cause: a name in TLS that is not ASCII, which the ssl module decodes before it asks us. That handshake fails,
and its connection says why.
"""

from collections.abc import Callable
from typing import Any

from penstock.dataplane import orders

DETAIL_CHARS = 500
"""Of what is told: a line in a log, as long as a detail of a connection."""


class Unraisable:
    """
    What `sys.unraisablehook` calls in a worker process.

    Args:
        report: Tells the supervisor, which bounds how much of it is logged.
    """

    def __init__(self, report: Callable[[orders.Notice], object]) -> None:
        self._report = report

    def __call__(self, args: Any) -> None:
        """Tell of an error; `args` as `sys.unraisablehook` gets them."""
        if not is_bad_name(args):
            self._report(orders.Notice("error", "error in a callback", _line(args)))


def is_bad_name(args: Any) -> bool:
    """Return whether the ssl module could not decode the name that a client asked for."""
    return isinstance(args.exc_value, UnicodeDecodeError) and args.object == args.exc_value.object


def _line(args: Any) -> str:
    """Return the error and where it came from, in one line that a `repr` cannot break."""
    try:
        where = f" in {args.object!r}" if args.object is not None else ""
        line = f"{args.exc_type.__name__}: {args.exc_value}{where}"
    except Exception as error:
        line = f"{args.exc_type.__name__}, of which nothing can be said: {type(error).__name__}"
    return " ".join(line.split())[:DETAIL_CHARS]
