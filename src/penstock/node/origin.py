"""Where a node comes from, and where it is reached."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import penstock
from penstock.base.addresses import Endpoint
from penstock.config.plan import NodePlan
from penstock.node.elder import Elder
from penstock.node.inherited import Inherited
from penstock.node.log import Log


class Addresses(NamedTuple):
    """
    Where a running node is reached.

    Args:
        listeners: Real address of each listener by name.
        admin: The admin door's; None for none.
        socket_path: The command line's Unix socket; empty for none.
    """

    listeners: Mapping[str, Endpoint]
    admin: Endpoint | None
    socket_path: str


class Origin(NamedTuple):
    """
    What started this process.

    Args:
        inherited: Listening sockets that it was given.
        elder: The process that it succeeds; None for none.
        program: The command that starts another process like it; empty where there is none.
    """

    inherited: Inherited = Inherited()
    elder: Elder | None = None
    program: tuple[str, ...] = ()


def endpoints(plan: NodePlan) -> Mapping[str, Endpoint]:
    """Return the address of each listener by its name."""
    return MappingProxyType({each.name: Endpoint(each.host, each.port) for each in plan.worker.listeners})


def say_ready(log: Log, plan: NodePlan, addresses: Addresses) -> None:
    """Tell the log what is served, and where."""
    for notice in plan.notices:
        log.warning("configuration notice", detail=notice)
    for each in plan.worker.listeners:
        log.info("listening", listener=each.name, protocol=each.protocol, address=str(each))
    log.info(
        "node ready",
        node=plan.name,
        version=penstock.__version__,
        workers=plan.workers,
        admin=str(addresses.admin or "off"),
        socket=addresses.socket_path or "off",
    )
