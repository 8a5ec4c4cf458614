"""
The self-audit: every total is added up in more than one way, and all ways must agree to the byte.

The node's own total is the sum of what moved, row by row. Beside it stand the sums over routes, listeners, client
addresses, users and destinations with `other`, and minutes: each of them is grouped, kept and sealed by code of its
own, so a byte that one of them loses or counts twice shows as a residual. The kernel is the last witness: what it says
of open sockets is compared with their rows (`node/witness.py`).
"""

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct

from penstock.metrics.growth import ASKED, BYTES_IN, BYTES_OUT, CLOSED, COLUMNS, OPENED, Growth, Numbers

QUANTITIES = {"bytes_in": BYTES_IN, "bytes_out": BYTES_OUT, "connections": OPENED, "requests": ASKED}
"""What is compared, and its row in a table of sums."""

BYTES = ("bytes_in", "bytes_out")
"""Those whose residual is a metric."""

DIMENSIONS = {
    "routes": "all routes",
    "listeners": "all listeners",
    "clients": "all client addresses, and other",
    "users": "all users, and other",
    "destinations": "all destinations, and other",
    "minutes": "all sealed minutes, and the open one",
    "kernel": "what the kernel says of open connections",
}
"""Ways to add up, and what each adds."""

Sums = Mapping[str, int]
"""What one way adds up to, by quantity; quantities that it does not know are left out."""


class AuditLine(Struct, frozen=True):
    """
    One quantity, added up in one way.

    Args:
        dimension: One of DIMENSIONS.
        adds: What that adds up.
        quantity: One of QUANTITIES.
        total: What the node says.
        sum: What the dimension adds up to.
        residual: How far they are apart, 0 or more; of the kernel the sum over all connections.
    """

    dimension: str
    adds: str
    quantity: str
    total: int
    sum: int
    residual: int


class KernelView(Struct, frozen=True, kw_only=True):
    """
    The last comparison of open connections with the kernel.

    Args:
        taken_at: RFC 3339, UTC; empty before the first one.
        refusal: Why the kernel could not be asked; empty if it could.
        open: Connections that were open all the while.
        witnessed: Those that the kernel told of.
        unix: On Unix sockets, of which the kernel counts no bytes.
        apart: That do not count what their TCP sockets carry, byte by byte: UDP associations, TLS that ends here.
        closed: Whose socket the kernel has closed already, or that ended while they were looked at.
        lines: Bytes of those witnessed.
        suspects: Ids of connections that differ; at most `SUSPECTS`.
    """

    taken_at: str = ""
    refusal: str = ""
    open: int = 0
    witnessed: int = 0
    unix: int = 0
    apart: int = 0
    closed: int = 0
    lines: tuple[AuditLine, ...] = ()
    suspects: tuple[int, ...] = ()


SUSPECTS = 100
"""Connections that one comparison names; a terminal shows about fifty."""


class AuditView(Struct, frozen=True, kw_only=True):
    """
    The whole sheet.

    Args:
        taken_at: RFC 3339, UTC.
        exact: Whether every residual is 0.
        residual_bytes: By dimension, all of them; bytes_in and bytes_out together.
        lines: What was added up at the last tick, and the last comparison with the kernel.
        kernel: The latter, in detail.
    """

    taken_at: str
    exact: bool
    residual_bytes: dict[str, int]
    lines: tuple[AuditLine, ...]
    kernel: KernelView


class Books:
    """
    The node's own total, which knows no listener, route or client.

    Attributes:
        total: Shape (growth.COLUMNS,).
    """

    def __init__(self) -> None:
        self.total: Numbers = np.zeros(COLUMNS, np.int64)

    def add(self, growth: Growth) -> None:
        """Add what the fold of one worker returned. Cost: O(rows)."""
        rows, total = growth.rows, self.total
        total[OPENED] += np.count_nonzero(growth.fresh)
        total[CLOSED] += len(rows.open) - np.count_nonzero(rows.open)
        total[BYTES_IN:] += [column.sum() for column in growth.moved.T]  # five times as fast as sum(axis=0)


def compare(total: Sums, sums: Mapping[str, Sums]) -> tuple[AuditLine, ...]:
    """
    Return a line for each quantity of each dimension.

    Args:
        total: What the node says, every quantity.
        sums: What each dimension adds up to.
    """
    return tuple(
        AuditLine(dimension, DIMENSIONS[dimension], quantity, total[quantity], found, abs(found - total[quantity]))
        for dimension, quantities in sums.items()
        for quantity, found in quantities.items()
    )


def by_quantity(columns: Numbers) -> Sums:
    """Return the quantities of a column of sums; shape (growth.COLUMNS,)."""
    numbers = columns.tolist()
    return {name: numbers[column] for name, column in QUANTITIES.items()}


def sheet(lines: Iterable[AuditLine], kernel: KernelView, taken_at: str) -> AuditView:
    """
    Return the whole sheet.

    Args:
        lines: What `compare` returned.
        kernel: The last comparison with the kernel.
        taken_at: When the lines were; RFC 3339.
    """
    lines = (*lines, *kernel.lines)
    residuals = dict.fromkeys(DIMENSIONS, 0)
    for line in lines:
        if line.quantity in BYTES:
            residuals[line.dimension] += line.residual
    return AuditView(
        taken_at=taken_at,
        exact=not any(line.residual for line in lines),
        residual_bytes=residuals,
        lines=lines,
        kernel=kernel,
    )
