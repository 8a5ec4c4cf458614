"""
Lines of clients that were closed at the entrance, before anything of them was read but a PROXY header: some whole, the
others as a sum.

An attack makes thousands a second, and its lines would hide all others and fill the disk. So in each second the first
LINES of a worker are told as any connection is, and those beyond them are counted by reason in one line at its end.
HAProxy tells nothing of connections that `tcp-request connection reject` closes, it only counts them; nginx writes each
(`limit_conn_log_level`), and there is no bound. Source: docs/decisions/0015-limits.md.
"""

import time
from collections import Counter

from penstock.base.addresses import unpack_ip
from penstock.base.outcomes import unpack
from penstock.config.plan import ListenerPlan
from penstock.dataplane.access_file import AccessFile
from penstock.dataplane.entrance import REFUSE_ACCESS, REFUSE_BAN, REFUSE_GLOBAL, REFUSE_IP, REFUSE_RATE
from penstock.dataplane.preface import REFUSED as REFUSE_HEADER
from penstock.protocols.http1.access_line import Answered, json_connection, json_refused, who_is

LINES = 10
"""Clients of a worker that are told in a second; the log of the node begins to sum up sooner (node/summaries.py)."""

AT_ENTRANCE = frozenset((REFUSE_BAN, REFUSE_ACCESS, REFUSE_GLOBAL, REFUSE_IP, REFUSE_RATE, REFUSE_HEADER))
"""Outcomes of those clients, packed."""

NOBODY = bytes(16)
"""The packed address of a Unix socket's client."""


class Refusals:
    """
    Writes them.

    Args:
        file: Where they go.
    """

    def __init__(self, file: AccessFile) -> None:
        self._file, self._left = file, LINES
        self._beyond: Counter[int] = Counter()

    def tell(self, listener: ListenerPlan, ip: bytes, outcome: int) -> None:
        """
        Tell of a client that may not come in.

        Args:
            listener: To which it came.
            ip: Its packed address.
            outcome: Packed.
        """
        if not self.has_line(outcome):
            return
        word = unpack(outcome)
        who = who_is("-" if ip == NOBODY else unpack_ip(ip), "", listener.name, "")
        answered = Answered(time.time_ns(), "", listener.route.name, "", 0, 0, 0, 0)
        told = word.ended_by.name.lower(), word.phase.name.lower(), word.reason or ""
        self._file.add(json_connection(who, answered, *told))

    def has_line(self, outcome: int) -> bool:
        """Return whether one more client with this outcome has a line of its own; else it is counted."""
        if not self._left:
            self._beyond[outcome] += 1
            return False
        self._left -= 1
        return True

    def sum_up(self) -> None:
        """Tell how many others there were, and begin again; called once a second."""
        self._left = LINES
        if self._beyond:
            reasons: Counter[str] = Counter()
            for outcome, count in self._beyond.items():
                reasons[unpack(outcome).reason or "other"] += count
            self._beyond.clear()
            self._file.add(json_refused(time.time_ns(), dict(sorted(reasons.items()))))
