"""
How many session tickets a client gets: two while clients come back with them, one while nobody does.

A ticket costs 4 % of a handshake. Browsers take two, for they open several connections to a host, but most programs
never show one. OpenSSL counts who resumes, so a handshake costs nothing for it.
"""

import ssl

USUAL = 2
"""OpenSSL's own number."""

ONE = 1
"""With none, nobody could come back, and nobody would notice that they want to."""

STRANGERS = 100
"""Clients without one that resumes, until each gets one ticket: of who comes back now and then, one is among them."""


class Tickets:
    """
    The session tickets of one listener.

    Args:
        context: What every handshake of its clients begins with.
        fixed: How many each new session gets, 0 for no resumption; None for as many as clients use.
    """

    def __init__(self, context: ssl.SSLContext, fixed: int | None = None) -> None:
        self._context, self._fixed = context, fixed is not None
        self._resumed = self._strangers_from = 0
        context.num_tickets = USUAL if fixed is None else fixed

    def look(self) -> None:
        """See who has come since the last look, and let new clients get as many tickets as that says."""
        if self._fixed:
            return
        stats = self._context.session_stats()
        if stats["hits"] != self._resumed:
            self._resumed, self._strangers_from = stats["hits"], stats["accept"]
            self._context.num_tickets = USUAL
        elif stats["accept"] - self._strangers_from >= STRANGERS:
            self._context.num_tickets = ONE
