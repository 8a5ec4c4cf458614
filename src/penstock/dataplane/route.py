"""A route at work in one worker: which of its targets is next."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from penstock.base.errors import StartError
from penstock.config.functions import find
from penstock.config.limit_plan import LimitsPlan
from penstock.config.plan import RoutePlan, TargetPlan
from penstock.connection.commands import DialError
from penstock.connection.rewriting import answer_changes
from penstock.dataplane.board import EJECTED, GENERATION, HEADER_WORDS, ORDERED, OUT, WEIGHT_SHIFT
from penstock.dataplane.contexts import make_target_context
from penstock.dataplane.limit_table import ROUTE
from penstock.dataplane.orders import TargetFailed
from penstock.dataplane.reactor import FOREVER
from penstock.dataplane.shaping import Shaping
from penstock.dataplane.shares import Share, UserShares
from penstock.policy.balance import FINE, Standing, whole
from penstock.policy.balancers import BALANCERS
from penstock.protocols.http1.changes import ChangedReader
from penstock.protocols.http1.response import KNOWN, ResponseReader

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker

OURS = frozenset((DialError.RESOURCE, DialError.LOOP))
"""Failed dials that say nothing about the target."""

DETAIL_CHARS = 200
"""Of why a target failed, as the supervisor is told."""


_KEYS = count(1)

NO_LIMITS = LimitsPlan()


class Route:
    """
    Sends connections to targets as its balancer says, and leaves out those that fail.

    A target is out where the board says so, or where so many dials of this worker failed in a row: the worker need not
    wait for anybody. When all are out, those that no operator has taken out are used: a target that is said to be
    unwell is a better choice than none (the safety valve).

    Args:
        plan: Its targets.
        worker: Whose board, time and supervisor it has.

    Attributes:
        plan: The same.
        target_context: How TLS is spoken with the targets; None for in the clear.
        parent_context: The same with the parent.
        pooled: Whether a connection to a target may serve one client after the other.
        direct: Whether a TCP connection to a target is all that it needs.
        secured: Whether what leads to a target may speak TLS, or goes through a parent.
        greets: Whether it needs one that may have to begin with a PROXY header, and nothing else.
        key: Under which connections to its targets wait for another request: 0 where they are as good for any other
            route; else its own, not shared with the same route of another plan, whose way may have changed.
        routes: All of the same plan; set by them.
        answers: Heads of answers that are known on it, and what they mean; see `response.KNOWN`.
        reader: Makes what reads an answer on it; takes what `ResponseReader` takes.
        handler: The function that decides; None where none does.
        share: What all its connections together may have; None for no limit.
        users: What each user may have; None for no limit.
        shaped: Whether the node or a listener limits bandwidth.
        limited: Whether any of these three limits anything.
        connect, idle, response: Deadlines of its own; unit ns, 0 for those of the worker.

    Raises:
        StartError: If the handler cannot be found.
    """

    __slots__ = (
        "_balancer", "_only", "_patience", "_pick", "_seen", "_standings", "_weights", "_words", "_worker", "answers",
        "connect", "direct", "greets", "handler", "idle", "key", "limited", "parent_context", "plan", "pooled",
        "reader", "response", "routes", "secured", "shaped", "share", "target_context", "users",
    )  # fmt: skip

    def __init__(
        self, plan: RoutePlan, worker: "Worker", users: UserShares | None = None, *, shaped: bool = False
    ) -> None:
        self.share = None if plan.limits is None else Share(worker.entrance.table, ROUTE, plan.name, plan.limits)
        self.users = users or None
        self.shaped = shaped
        self.limited = shaped or self.share is not None or self.users is not None
        self.plan, self._worker, self._words = plan, worker, worker.board.words
        target_tls, parent = plan.target_tls, plan.parent
        self.target_context = None if target_tls is None else make_target_context(target_tls)
        wrapped = parent is not None and parent.kind == "https"
        self.parent_context = make_target_context(parent.tls) if parent is not None and wrapped else None
        self.greets = target_tls is None and parent is None and plan.sends_headers
        self.secured = target_tls is not None or parent is not None
        self.direct = not self.secured and not self.greets
        self.key = 0 if self.direct else next(_KEYS)
        self.routes: Routes
        self.pooled = not plan.sends_headers
        self.handler = _handler(plan) if plan.action == "handler" else None
        timeouts = plan.timeouts
        self.connect, self.idle, self.response = map(_own, (timeouts.connect, timeouts.idle, timeouts.response))
        self._standings = tuple(map(Standing, plan.targets))
        # a single target is used whatever happens to it, and a parent's failures are not the targets'
        self._patience = plan.health.failures if len(plan.targets) > 1 and parent is None else 0
        self._weights: Sequence[int] = whole(self._standings)
        self._balancer = BALANCERS[plan.balance](self._standings, random.random)
        self._pick = self._balancer.pick
        self._only = self._standings[0] if len(self._standings) == 1 else None
        self._seen = 0
        changes = answer_changes(plan)
        self.reader: Callable[[bytes, bool, bool, bool], ResponseReader]
        self.answers = KNOWN if changes is None else changes.known
        self.reader = ResponseReader if changes is None else partial(ChangedReader, changes)

    def next_target(self, client: str) -> Standing | None:
        """Return the target for a connection of a client; None if operators have taken all of them out."""
        if self._words[GENERATION] != self._seen:
            self.look()
        return self._only or self._pick(client)

    def other_target(self, client: str, tried: Sequence[Standing]) -> Standing | None:
        """Return one more target for a connection, after those that could not be reached; None if there is no other."""
        return self._balancer.other(client, tried)

    def failed(self, standing: Standing, error: DialError, detail: str) -> None:
        """A dial failed: the target is out for a while when too many did in a row, and the supervisor is told."""
        if not self._patience or error in OURS:
            return
        standing.failures += 1
        now = self._worker.reactor.now
        if standing.failures < self._patience or now < standing.ejection.until:
            return
        self._worker.reactor.at(standing.ejection.eject(now, self.plan.health.ejection), self)
        self._worker.report(TargetFailed(standing.plan.id, standing.failures, f"{error}: {detail}"[:DETAIL_CHARS]))
        self.look()

    def wake(self, now: int) -> None:
        """An ejection may be over. The first dial that fails after it begins the next one."""
        self.look()

    def look(self) -> None:
        """Read how the targets are."""
        words, now = self._words, self._worker.reactor.now
        self._seen = words[GENERATION]
        well, allowed = [], []
        for standing in self._standings:
            word = words[HEADER_WORDS + standing.plan.id]
            weight = word >> WEIGHT_SHIFT or standing.plan.weight * FINE
            allowed.append(0 if word & ORDERED else weight)
            well.append(0 if word & OUT or now < standing.ejection.until else weight)
            if word & EJECTED:  # by another worker: what it found out is known here, too
                standing.failures = max(standing.failures, self._patience - 1)
        weights = well if any(well) else allowed
        if weights != self._weights:
            self._weights = weights
            self._balancer.update(weights)
            self._only = self._standings[0] if len(weights) == 1 and weights[0] else None


class Routes:
    """
    Every route of a worker. Listeners that share a route share its turns.

    Args:
        plans: The routes of all listeners, and all that have something to match.
        worker: Whose they are.
        limits: What users may have.
        shaping: What bandwidth flows may have that is no matter of route or user; None for all.

    Attributes:
        shaping: The same.
        names: Plan by name.
    """

    def __init__(
        self,
        plans: Iterable[RoutePlan],
        worker: "Worker",
        limits: LimitsPlan = NO_LIMITS,
        shaping: Shaping | None = None,
    ) -> None:
        self.shaping = shaping
        self._routes: dict[tuple[int, tuple[TargetPlan, ...]], Route] = {}
        users = UserShares(worker.entrance.table, limits)
        for plan in plans:
            key = plan.id, plan.targets
            if key not in self._routes:
                self._routes[key] = route = Route(plan, worker, users, shaped=bool(shaping))
                route.routes = self

        self.names = {route.plan.name: route.plan for route in self._routes.values()}

    def of(self, plan: RoutePlan) -> Route:
        """Return the route of a plan."""
        return self._routes[plan.id, plan.targets]


def _own(timeout: int | None) -> int:
    """Return a deadline of a route; 0 where it has none of its own."""
    return 0 if timeout is None else timeout or FOREVER


def _handler(plan: RoutePlan) -> Callable[..., Any]:
    try:
        return find(plan.handler)
    except ValueError as error:
        raise StartError(f"route {plan}: handler: {error}") from error
