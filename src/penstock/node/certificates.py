"""All certificates that a node's listeners serve: those of the operator's files, and those that ACME brings."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from penstock.base.clock import NS, Clock
from penstock.base.errors import StartError
from penstock.config.plan import NodePlan
from penstock.config.tls_plan import AcmePlan, CertificatePlan
from penstock.dataplane.board import Board
from penstock.dataplane.challenges import post
from penstock.metrics.certificates import CertificateView
from penstock.metrics.live import rfc3339
from penstock.node.log import Log

if TYPE_CHECKING:
    from penstock.node.acme.renewals import Renewals
    from penstock.node.acme.storage import Stored


def make_ready(plan: AcmePlan, now_s: int) -> None:
    """
    See that what ACME brings can be served, now or as soon as it is there. Blocks.

    Args:
        plan: What shall be got; nothing happens if that is nothing.
        now_s: Unit s since the epoch.

    Raises:
        StartError: If the extra is not installed, or the storage cannot be used.
    """
    if not plan.certificates:
        return
    try:
        from penstock.node.acme import client  # noqa: F401, PLC0415 - 8 MB and 130 ms that few nodes need
    except ImportError as error:
        raise StartError(f"acme.domains: {error.name} is missing; pip install 'penstock[acme]'") from error
    from penstock.node.acme.storage import prepare  # noqa: PLC0415

    prepare(plan, now_s)


class Certificates:
    """
    The certificates of one node.

    Args:
        plan: Its plan; `make_ready` has been called for it.
        clock: Gives the time.
        log: Where it is told what becomes of those of ACME.
        board: Descriptor of the workers' board.
        deploy: Lets all workers load their certificates again.
    """

    def __init__(
        self, plan: NodePlan, clock: Clock, log: Log, board: int, deploy: Callable[[], Awaitable[None]]
    ) -> None:
        self._plan, self._clock, self._log = plan, clock, log
        self._board, self._deploy = Board(board), deploy
        self._renewals: Renewals | None = None
        self._running = False
        self.replan(plan)

    def start(self) -> None:
        """Begin to care for those of ACME."""
        self._running = True
        if self._renewals is not None:
            self._renewals.start()

    async def stop(self) -> None:
        """End."""
        if self._renewals is not None:
            await self._renewals.stop()
        self._board.close()

    def replan(self, plan: NodePlan) -> None:
        """Go on with those of another plan; `make_ready` has been called for it."""
        self._plan = plan
        if self._renewals is not None:
            self._renewals.replan(plan.acme)
        elif plan.acme.certificates:
            from penstock.node.acme.renewals import Renewals  # noqa: PLC0415 - as above

            self._renewals = Renewals(
                plan.acme, self._clock, self._log, lambda pending: post(self._board, pending), self._deploy
            )
            if self._running:
                self._renewals.start()

    def views(self) -> tuple[CertificateView, ...]:
        """Return how each certificate is, the operator's own first. Reads their files."""
        files = _own(self._plan)
        if not files:
            return self._renewals.views() if self._renewals is not None else ()
        from penstock.node.acme.storage import read  # noqa: PLC0415 - 60 ms

        now = self._clock.wall_ns() / NS
        found = tuple(view_of(each, read(Path(each.cert)), now, source="file") for each in files)
        return found + (self._renewals.views() if self._renewals is not None else ())


def view_of(
    plan: CertificatePlan,
    stored: "Stored | None",
    now_s: float,
    *,
    source: Literal["acme", "file"],
    renews_at: str | None = None,
    last_error: str = "",
) -> CertificateView:
    """
    Return how a certificate is.

    Args:
        plan: Its files, and the names that it is for.
        stored: What its file holds; None for nothing that can be read.
        now_s: Unit s since the epoch.
        source: `acme` or `file`.
        renews_at: When it is got anew; None for never.
        last_error: Why the last try brought nothing; empty if there was none, or if it did.
    """
    issued = stored is not None and (bool(stored.issuer) or source == "file")
    ends = stored.not_after if stored is not None and issued else 0
    return CertificateView(
        name=plan.names[0] if plan.names else plan.cert,
        names=plan.names,
        source=source,
        file=plan.cert,
        issuer=stored.issuer if stored is not None else "",
        not_after=rfc3339(ends * NS) if ends else None,
        not_after_s=ends,
        state="pending" if not issued else "expired" if ends <= now_s else "valid",
        renews_at=renews_at,
        last_error=last_error,
    )


def _own(plan: NodePlan) -> list[CertificatePlan]:
    """Return the certificates of the operator's files, each once."""
    brought = set(plan.acme.certificates)
    served = (each for listener in plan.worker.listeners if listener.tls for each in listener.tls.certificates)
    return [each for each in dict.fromkeys(served) if each not in brought]
