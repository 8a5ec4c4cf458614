"""File descriptors: two for each connection, so the limit of the process is the limit of the proxy."""

import resource

from penstock.base.bounds import DESCRIPTOR_RESERVE
from penstock.config.plan import WorkerPlan


def raise_limit() -> int:
    """Raise this process's soft limit to its hard one, as nginx and HAProxy do; returns the limit that now holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # fs.nr_open was lowered below the hard limit
        return soft
    return hard


def shortage(plan: WorkerPlan, limit: int) -> str | None:
    """
    Return what an operator should know if the configured connections do not fit; None if they do.

    Args:
        plan: Connections, workers and listeners of the node.
        limit: Descriptors of one process.
    """
    share = -(-plan.connections // max(1, plan.workers))
    needed = 2 * share + len(plan.listeners) + DESCRIPTOR_RESERVE
    if needed <= limit:
        return None
    room = max(0, limit - len(plan.listeners) - DESCRIPTOR_RESERVE) // 2 * max(1, plan.workers)
    return f"{limit} descriptors hold {room} of {plan.connections} connections; LimitNOFILE={needed} holds all"
