"""
Reload: the configuration is read again, and what differs is served without a connection lost. A table that is changed
at runtime goes the same way, on top of the configuration as it was read last.

Everything that can fail comes first: reading, validating, building what workers build, binding. Only then anything is
changed, so a mistake leaves the node as it is. One reload runs at a time; the next one waits.
Source: docs/decisions/0013-reload.md.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.errors import ConfigurationError, PenstockError, StartError
from penstock.config.changes import Changes, Section
from penstock.config.changes import Written as Table
from penstock.config.difference import Change, What, difference, tls_files, unchanging
from penstock.config.layered import WrittenView
from penstock.config.plan import ListenerPlan, NodePlan
from penstock.config.renumber import Numbers, numbers_of, renumber
from penstock.dataplane.orders import DESCRIPTORS
from penstock.node.certificates import make_ready
from penstock.node.log import Log
from penstock.node.sockets import OpenListener, open_listeners

NOTHING = Changes()


class Base(Protocol):
    """A configuration as it was read; see `config.layered.Layered`."""

    def plan(self, changes: Changes = NOTHING) -> NodePlan:
        """Return the plan that it makes with these changes; blocks; raises ConfigurationError."""

    def table(self, section: Section, name: str) -> Table | None:
        """Return a table of it; None if there is none."""

    def views(self, section: Section, changes: Changes) -> Sequence[WrittenView]:
        """Return every table of a section."""


Source = Callable[[], Base]
"""Reads the configuration again; blocks; raises ConfigurationError."""

NEW_LISTENERS = DESCRIPTORS - 1
"""That one reload brings at most: their descriptors travel in one packet, beside the plan's."""


class ReloadError(PenstockError):
    """A node that cannot be reloaded, or not now; the message says why."""


class UnknownTableError(PenstockError):
    """There is no table of this name."""


class ReloadView(Struct, frozen=True):
    """
    What a reload, or a change at runtime, did or would do.

    Args:
        applied: Whether it did it.
        changes: What is other than before.
        needs_restart: Keys that differ and stay as they are until the node is started again.
        refused: Workers that could not take it, and why; each ends gently, and its heir begins with the new plan.
        undone: Changes at runtime that a reload takes back, as the file says otherwise.
    """

    applied: bool
    changes: tuple[Change, ...]
    needs_restart: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    undone: tuple[Change, ...] = ()


class DrainView(Struct, frozen=True):
    """
    How far a drain is.

    Args:
        state: starting, serving or draining.
        connections: Open at the last tick.
        seconds_left: Until what still runs is cut; null for a node that does not drain.
        began_with: Connections that were open when it began; null for a node that does not drain.
    """

    state: str
    connections: int
    seconds_left: float | None = None
    began_with: int | None = None


class Supply(NamedTuple):
    """
    Sockets for a plan.

    Args:
        listeners: All of them, in the plan's order.
        new: Those of them that workers do not have yet.
        opened: Those of them that were bound for it.
        gone: Those of before that it has no use for.
    """

    listeners: tuple[OpenListener, ...]
    new: tuple[OpenListener, ...]
    opened: tuple[OpenListener, ...]
    gone: tuple[OpenListener, ...]


class Served(Protocol):
    """What a reload needs of a node."""

    @property
    def listeners(self) -> tuple[OpenListener, ...]:
        """Return the sockets that are served."""

    def refuses_reload(self) -> str:
        """Return why it cannot be reloaded now; empty if it can."""

    def read_files(self, plan: NodePlan) -> None:
        """Read the files that a plan names and only the supervisor needs; raises ConfigurationError. Blocks."""

    async def take(self, plan: NodePlan, supply: Supply) -> list[str]:
        """Serve another plan from these sockets; returns for each worker that goes on as before which it is and why."""


class _Ready(NamedTuple):
    """A plan that was found good, and what it was made of."""

    plan: NodePlan
    numbers: Numbers
    files: dict[str, str]
    base: Base | None
    changes: Changes


class Reloads:
    """
    Reloads and runtime changes of one node.

    Args:
        node: What is changed.
        plan: What it was started with; addresses as configured.
        source: Reads the configuration again; None for a node that was started without a file.
        log: Where it is told.
        base: What `plan` was made of; None for a node whose tables cannot be changed.
    """

    def __init__(self, node: Served, plan: NodePlan, source: Source | None, log: Log, base: Base | None = None) -> None:
        self._node, self._source, self._log = node, source, log
        self._now = _Ready(plan, numbers_of(plan), fingerprints(tls_files(plan.worker)), base, NOTHING)
        self._turn = asyncio.Lock()

    @property
    def plan(self) -> NodePlan:
        """Return what is served; addresses as configured."""
        return self._now.plan

    @property
    def numbers(self) -> Numbers:
        """Return the numbers of all names so far."""
        return self._now.numbers

    @property
    def turn(self) -> asyncio.Lock:
        """Return what is held while anything is changed."""
        return self._turn

    def inherit(self, numbers: Numbers) -> NodePlan:
        """Go on with the numbers of a process that is succeeded, and return the plan under them."""
        plan, numbers = renumber(self._now.plan, numbers)
        self._now = self._now._replace(plan=plan, numbers=numbers)
        return plan

    async def reload(self, *, dry_run: bool = False) -> ReloadView:
        """
        Read the configuration again and serve it. What was changed at runtime is so no more: the configuration wins.

        Args:
            dry_run: Only say what would change.

        Raises:
            ConfigurationError: With every mistake; nothing has changed then.
            ReloadError: If there is nothing to reload, or the node is on its way out.
        """
        source = self._source
        if source is None:
            raise ReloadError("this node was started without a configuration file: there is nothing to reload")
        async with self._turn:
            self._ask()
            try:
                ready = await asyncio.to_thread(lambda: self._prepare(source(), NOTHING))
                return await self._serve(ready, "reloaded", dry_run=dry_run)
            except ConfigurationError as error:
                if not dry_run:
                    self._log.warning("not reloaded, all goes on as before", mistakes=error.mistakes)
                raise

    async def change(self, section: Section, name: str, table: Table | None, *, dry_run: bool = False) -> ReloadView:
        """
        Serve another listener or route from now on, until a reload or a restart.

        Args:
            section: listener or route.
            name: Of the table, which is added or takes the place of its namesake.
            table: All of it; None for one that shall not be.
            dry_run: Only say what would change.

        Raises:
            ConfigurationError: With every mistake of what the configuration would be then; nothing has changed.
            UnknownTableError: If there is none to take away.
            ReloadError: If the node cannot be changed, or is on its way out.
        """
        async with self._turn:
            self._ask()
            base, changes = self._base(), self._now.changes
            if table is None and not any(name == each.name for each in base.views(section, changes)):
                raise UnknownTableError(f"no {section} is called {name!r}")
            wanted = changes.with_table(section, name, table)
            if wanted.tables[section, name] == base.table(section, name):
                wanted = changes.without(section, name)  # as it was configured
            ready = await asyncio.to_thread(self._prepare, base, wanted)
            return await self._serve(ready, "changed at runtime", dry_run=dry_run)

    def tables(self, section: Section) -> Sequence[WrittenView]:
        """Return every table of a section as it is in effect; raises ReloadError where nobody knows."""
        return self._base().views(section, self._now.changes)

    def changed(self) -> tuple[Change, ...]:
        """Return what was changed at runtime, against the configuration as it was read last."""
        now = self._now
        return () if now.base is None else deviations(now.base, now.changes)

    def _base(self) -> Base:
        if self._now.base is None:
            raise ReloadError("this node was started without a configuration: its tables cannot be changed")
        return self._now.base

    async def refresh(self) -> None:
        """Let all workers load the files of the plan again: a certificate has come. Does nothing on the way out."""
        async with self._turn:
            if self._node.refuses_reload():
                return
            plan = self._now.plan
            self._now = self._now._replace(files=await asyncio.to_thread(fingerprints, tls_files(plan.worker)))
            refused = await self._node.take(plan, supply_for(plan, plan, self._node.listeners))
            for why in refused:
                self._log.warning("a worker did not take the new certificate: it drains", detail=why)

    def _ask(self) -> None:
        if why := self._node.refuses_reload():
            raise ReloadError(why)

    async def _serve(self, ready: _Ready, event: str, *, dry_run: bool) -> ReloadView:
        self._ask()  # much may have happened meanwhile
        now = self._now
        found = difference(now.plan, ready.plan, now.files, ready.files)
        lost = Changes({key: each for key, each in now.changes.tables.items() if key not in ready.changes.tables})
        undone = deviations(ready.base, lost) if ready.base is not None and ready.base is not now.base else ()
        if dry_run:
            return ReloadView(False, found.changes, found.needs_restart, undone=undone)
        supply = supply_for(ready.plan, now.plan, self._node.listeners)
        self._now = ready
        refused = await self._node.take(ready.plan, supply)
        self._log.info(event, changes=[str(each) for each in found.changes])
        if undone:
            self._log.warning("changes at runtime are undone: the file wins", changes=[str(each) for each in undone])
        if found.needs_restart:
            self._log.warning("some of it needs a restart", keys=list(found.needs_restart))
        for why in refused:
            self._log.warning("a worker did not take the new plan: it drains, and its heir begins with it", detail=why)
        return ReloadView(True, found.changes, found.needs_restart, tuple(refused), undone)

    def _prepare(self, base: Base, changes: Changes) -> _Ready:
        """Validate and build; blocks."""
        from penstock.dataplane.equipment import try_out  # noqa: PLC0415 - a node that never reloads needs no data plane

        now = self._now
        plan, numbers = renumber(unchanging(now.plan, base.plan(changes)), now.numbers)
        try:
            make_ready(plan.acme, time.time_ns() // NS)
            files = fingerprints(tls_files(plan.worker))
            try_out(plan.worker)
        except (StartError, OSError, ValueError) as error:
            raise ConfigurationError([str(error)]) from error
        self._node.read_files(plan)
        return _Ready(plan, numbers, files, base, changes)


def deviations(base: Base, changes: Changes) -> tuple[Change, ...]:
    """Return in which tables changes are other than a configuration."""
    found = []
    for (section, name), table in changes.tables.items():
        configured = base.table(section, name)
        if configured != table:
            what: What = "added" if configured is None else "removed" if table is None else "changed"
            found.append(Change(section, name, what))
    return tuple(found)


def supply_for(plan: NodePlan, old: NodePlan, listeners: Sequence[OpenListener]) -> Supply:
    """
    Return the sockets for a plan: those that are open wherever an address stays, and new ones.

    Args:
        plan: What shall be served; addresses as configured.
        old: What is served; the same.
        listeners: The sockets of `old`, in its order.

    Raises:
        ConfigurationError: If one cannot be bound; none of the new ones stays open then.
    """
    pairs = list(zip(old.worker.listeners, listeners, strict=True))
    by_name = {each.name: (each, sockets) for each, sockets in pairs}
    by_address = {(each.host, each.port): sockets for each, sockets in pairs}
    by_address |= {(each.plan.host, each.plan.port): each for each in listeners}  # where the kernel chose the port
    found: dict[str, OpenListener] = {}
    for each in plan.worker.listeners:
        namesake, sockets = by_name.get(each.name, (None, None))
        if namesake is None or (namesake.host, namesake.port) != (each.host, each.port):
            fixed = each.port or each.host.startswith("unix:")  # port 0 is another one each time
            sockets = by_address.get((each.host, each.port)) if fixed else None
        if sockets is not None:
            found[each.name] = sockets.serving(each)
    missing = [each for each in plan.worker.listeners if each.name not in found]
    opened = _open(missing, plan.workers)
    found |= {each.plan.name: each for each in opened}
    kept = {id(each.sockets) for each in found.values()}
    ordered = tuple(found[each.name] for each in plan.worker.listeners)
    served = {(each.plan.id, id(each.sockets)) for each in listeners}
    new = tuple(each for each in ordered if (each.plan.id, id(each.sockets)) not in served)
    return Supply(ordered, new, opened, tuple(each for each in listeners if id(each.sockets) not in kept))


def _open(plans: list[ListenerPlan], workers: int) -> tuple[OpenListener, ...]:
    if len(plans) > NEW_LISTENERS:
        raise ConfigurationError([f"{len(plans)} listeners are new; one reload brings {NEW_LISTENERS} at most"])
    try:
        return open_listeners(plans, workers)
    except StartError as error:
        raise ConfigurationError([str(error)]) from error


def fingerprints(paths: Iterable[str]) -> dict[str, str]:
    """Return what stands for the content of each file; files that cannot be read have none."""
    found = {}
    for path in paths:
        try:
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            continue
    return found


def bound(plan: NodePlan, listeners: Sequence[OpenListener], door: tuple[str, int] | None) -> NodePlan:
    """
    Return a plan with the addresses that are really bound.

    Args:
        plan: Addresses as configured.
        listeners: Its sockets.
        door: The admin door's address; None for none.
    """
    plans = tuple(each.plan for each in listeners)
    own = {*plan.worker.own_addresses, *((each.host, each.port) for each in plans if each.port)}
    own |= {door} if door else set()
    worker = replace(plan.worker, listeners=plans, workers=plan.workers, own_addresses=tuple(sorted(own)))
    return replace(plan, worker=worker, admin=door)
