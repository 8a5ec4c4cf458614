"""
What a plan means to a worker, built ahead: routes, and for each listener its rules, certificates and trusted peers.

Building reads files and compiles rules, which may take a second: a reload does it in a thread, and the reactor only
takes what is ready.
"""

from typing import TYPE_CHECKING, NamedTuple

from penstock.config.plan import ListenerPlan, WorkerPlan
from penstock.connection.tls import hello_decides
from penstock.dataplane.contexts import Contexts, make_target_context
from penstock.dataplane.route import Routes
from penstock.dataplane.shaping import Shaping
from penstock.policy.access import Access
from penstock.policy.networks import Networks
from penstock.policy.routes import Ruleset, concerning, rules_of

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker


class Equipment(NamedTuple):
    """
    What a listener needs.

    Args:
        plan: Its own.
        contexts: Its certificates; None where it has none.
        rules: What decides the route; None where none but its own can match.
        trusted: Whose PROXY headers are believed; None where none are read.
        access: Who may come and go where.
        reads_hello: Whether a client's hello is looked at before TLS begins: it may say that TLS ends elsewhere.
    """

    plan: ListenerPlan
    contexts: Contexts | None
    rules: Ruleset | None
    trusted: Networks | None
    access: Access
    reads_hello: bool = False


class Prepared(NamedTuple):
    """
    A plan, ready to be served.

    Args:
        plan: The same.
        routes: Every route of it.
        equipment: By listener id.
    """

    plan: WorkerPlan
    routes: Routes
    equipment: dict[int, Equipment]


def prepare(plan: WorkerPlan, worker: "Worker") -> Prepared:
    """
    Build what a plan needs. Touches nothing of a running worker, so any thread may call it.

    Args:
        plan: What to serve.
        worker: Who will.

    Raises:
        StartError: If a certificate cannot be used.
    """
    shaping = Shaping(worker.entrance.table, plan)
    routes = Routes([*(each.route for each in plan.listeners), *plan.routes], worker, plan.limits, shaping)
    return Prepared(plan, routes, {each.id: _equip(plan, each) for each in plan.listeners})


def try_out(plan: WorkerPlan) -> None:
    """
    Build what a plan needs, and keep nothing: whoever orders a reload learns what a worker could not take.

    Raises:
        StartError: If a certificate cannot be used.
    """
    for listener in plan.listeners:
        _equip(plan, listener)
    for route in (*(each.route for each in plan.listeners), *plan.routes):
        for tls in (route.target_tls, route.parent.tls if route.parent is not None else None):
            if tls is not None:
                make_target_context(tls)


def _equip(plan: WorkerPlan, listener: ListenerPlan) -> Equipment:
    return Equipment(
        plan=listener,
        contexts=None if listener.tls is None else Contexts(listener.tls),
        rules=rules_of(plan.routes, listener),
        trusted=None if listener.accept_proxy == "off" else Networks(listener.trusted_proxies),
        reads_hello=listener.protocol == "tls" and hello_decides(listener, concerning(plan.routes, listener)),
        access=access_of(plan, listener),
    )


def access_of(plan: WorkerPlan, listener: ListenerPlan) -> Access:
    """Return who may come to a listener and go where."""
    return Access(plan.rules, listener.id, listener.port, asks=listener.forward, private=listener.allow_private)
