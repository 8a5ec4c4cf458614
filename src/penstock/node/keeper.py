"""Keeps what a node has counted: restores it at start, hands checkpoints to the store while it runs and at its end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from penstock.base.clock import NS, Clock
from penstock.base.errors import StartError
from penstock.config.plan import NodePlan
from penstock.metrics import parts
from penstock.metrics.record_pages import Archive
from penstock.metrics.registry import Registry
from penstock.metrics.rollups import Minute
from penstock.metrics.view import HistoryView
from penstock.node.graphs import graph, span
from penstock.node.log import Log
from penstock.store import rollups, tables
from penstock.store.checkpoint import Checkpoint, Retention, merge
from penstock.store.rollups import MINUTE
from penstock.store.store import Store, UnreachableError
from penstock.store.tables import RowError, Samples
from penstock.store.writer import TELL_NS, Notice

Found = TypeVar("Found")


class _Kept(NamedTuple):
    """What the store holds."""

    numbers: parts.Kept
    pages: list[tables.Page]
    entries: Mapping[str, Sequence[tables.Entry]] = {}


class Entries(Protocol):
    """What keeps entries of some kinds."""

    kinds: tuple[str, ...]

    def take(self, *, everything: bool = False) -> dict[tuple[str, str], str | None]:
        """Return what is to be written, by kind and key; None removes. Everything, if what was given out was lost."""

    def restore(self, kept: Mapping[str, Sequence[tables.Entry]]) -> list[str]:
        """Take what an earlier run has left, by kind; returns a line for each that is not what was once written."""


class Drawers:
    """
    Several that keep entries, as one.

    Args:
        all: Each of other kinds.
    """

    def __init__(self, all: Sequence[Entries]) -> None:
        self._all = all
        self.kinds: tuple[str, ...] = tuple(kind for each in all for kind in each.kinds)

    def take(self, *, everything: bool = False) -> dict[tuple[str, str], str | None]:
        """Return what any of them wants written."""
        return {key: body for each in self._all for key, body in each.take(everything=everything).items()}

    def restore(self, kept: Mapping[str, Sequence[tables.Entry]]) -> list[str]:
        """Let each take its own."""
        return [fault for each in self._all for fault in each.restore(kept)]


class Keeper:
    """
    The supervisor's hand on the store. All work of the disk is done in threads.

    Args:
        plan: Where the store is, how often it is written, and how long series are kept.
        log: Where trouble is told.
        clock: Gives the time.

    Attributes:
        entries: What else is kept; None for nothing.
    """

    def __init__(self, plan: NodePlan, log: Log, clock: Clock) -> None:
        self._plan, self._metrics, self._log, self._clock = plan.store, plan.metrics, log, clock
        self._store = Store(Path(plan.store.path), clock, self._tell) if plan.store.path else None
        self._registry: Registry | None = None
        self._archive: Archive | None = None
        self._lost = False
        self._flusher: asyncio.Task[None] | None = None
        self.entries: Entries | None = None
        self._filled = False
        self._waiting: Checkpoint | None = None
        self._sent: dict[str, bytes] = {}
        self._told_ns: int | None = None

    async def open(self) -> None:
        """
        Open the store; one that cannot be reached is tried again with each checkpoint.

        Raises:
            StartError: If the file is another node's, of a newer version, or none of ours.
        """
        if self._store is not None:
            await self._reach(self._store)

    async def restore(self, registry: Registry) -> None:
        """Add what an earlier run counted to a registry, and keep this one from now on."""
        self._registry, self._archive = registry, Archive(registry.records)
        if self._store is None:
            return
        parts.keep(registry)
        if self._store.is_open:
            await self._fill(self._store, registry)

    async def inherit(
        self,
        registry: Registry,
        counted: parts.Kept,
        pages: list[tables.Page],
        entries: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """
        Go on from what another process has counted until now and has written into the store, if there is one.

        Args:
            registry: That of this process.
            counted: Its newest parts; they win over those of the store.
            pages: Of its records.
            entries: What else it kept, for where no store says it.
        """
        self._registry, self._archive = registry, Archive(registry.records)
        kept, handed = counted, self._handed(entries)
        if self._store is not None:
            parts.keep(registry)
            if self._store.is_open:
                try:
                    found = await self._read_all(self._store)
                    kept, handed = found.numbers._replace(parts=counted.parts, goes_on=True), found
                except UnreachableError as error:
                    self._warn(str(error))
        self._restore_entries(handed)
        self._filled = True
        for fault in (*parts.restore(registry, kept), *self._archive.restore(pages)):
            self._log.error("upgrade: some of what was counted is left out", detail=fault)

    def everything(self) -> tuple[tuple[str, str, str], ...]:
        """Return kind, key and body of all entries; for once the store is closed, as nothing of it is written then."""
        taken = {} if self.entries is None else self.entries.take(everything=True)
        return tuple((kind, key, body) for (kind, key), body in taken.items() if body is not None)

    def pages(self, registry: Registry) -> list[tables.Page]:
        """Return all records as pages."""
        return list(self._export(Archive(registry.records), lost=False)[0])

    def run(self) -> None:
        """Begin to make checkpoints."""
        if self._store is not None:
            self._flusher = asyncio.create_task(self._flush_for_ever(self._store))

    async def graph(self, scope: str, seconds: int) -> HistoryView | None:
        """
        Return a graph of minutes or hours; None if nothing is kept of the scope, or at all.

        Args:
            scope: As for `Metrics.history`.
            seconds: How far it looks back; unit s.

        Raises:
            ValueError: If nothing is kept for so long.
            UnreachableError: If the file cannot be read.
        """
        wanted = span(scope, seconds, self._clock.wall_ns() // NS, self._metrics)
        if wanted is None or self._store is None:
            return None
        try:
            steps = await asyncio.to_thread(self._store.read, partial(rollups.history, **wanted._asdict()))
        except RowError as error:
            raise UnreachableError(str(error)) from error
        return None if steps is None else graph(scope, wanted.length, steps)

    async def close(self) -> None:
        """Make the last checkpoint, and return when it is written or the disk has had its time."""
        if self._flusher is not None:
            self._flusher.cancel()
        store, registry = self._store, self._registry
        if store is None:
            return
        if self._flusher is not None and registry is not None and self._filled:
            self._hand_over(store, registry)
            self._sent = {}  # whoever opens it again may find another one
        if not await asyncio.to_thread(store.close):
            self._log.error("store: the last checkpoint was not written", path=str(store.path))

    async def _flush_for_ever(self, store: Store) -> None:
        while True:
            await asyncio.sleep(self._plan.flush / NS)
            try:
                await self._flush(store)
            except Exception as error:  # what is not kept is better than a proxy that ends
                self._log.error("checkpoint failed", detail=repr(error))

    async def _flush(self, store: Store) -> None:
        registry = self._registry
        if registry is None:
            return
        if not self._filled:
            await self._reach_late(store, registry)
        elif not store.is_open:  # what it holds has been handed over already
            await self._reach(store)
        if self._filled:
            self._hand_over(store, registry)
        else:  # samples alone: totals and records know nothing yet of what is in the file
            self._waiting = self._sampled(registry)

    def _hand_over(self, store: Store, registry: Registry) -> None:
        store.submit(self._checkpoint(registry))
        self._waiting = None

    def _checkpoint(self, registry: Registry) -> Checkpoint:
        """Return everything that is to be written."""
        lost, self._lost = self._lost, False
        if lost:
            self._sent = {}
        pages, oldest = self._export(self._archive, lost=lost) if self._archive is not None else ((), 0)
        sampled, exported = self._sampled(registry), parts.export(registry)
        changed = {name: body for name, body in exported.items() if self._sent.get(name) != body}
        self._sent = exported
        entries = {} if self.entries is None else self.entries.take(everything=lost)
        return replace(sampled, parts=changed, pages=pages, oldest=oldest, entries=entries)

    def keep_entries(self) -> None:
        """Have entries that changed written at once, and not with the next checkpoint: somebody relies on them."""
        if self._store is None or self.entries is None or not self._filled or self._lost:
            return
        if entries := self.entries.take():
            at = self._clock.wall_ns() // NS
            self._store.submit(Checkpoint(at=at, retention=self._retention(), entries=entries))

    def _retention(self) -> Retention:
        return Retention(parts.retention(self._metrics), self._metrics.minutes, self._metrics.hours)

    def _sampled(self, registry: Registry) -> Checkpoint:
        """Return what was sampled since the last checkpoint, and what waits from before it."""
        at, taken = self._clock.wall_ns() // NS, parts.take(registry)
        checkpoint = Checkpoint(
            at=at,
            samples=tuple(Samples(kind, at, body) for kind, body in taken.samples.items()),
            minutes=taken.minutes,
            retention=self._retention(),
        )
        return merge(self._waiting, checkpoint) if self._waiting else checkpoint

    @staticmethod
    def _export(archive: Archive, *, lost: bool) -> tuple[tuple[tables.Page, ...], int]:
        """Return pages of records, all of them if some were lost, and which is the oldest record still wanted."""
        if lost:
            archive.forget()
        pages, oldest = archive.export()
        return tuple(tables.Page(*page) for page in pages), oldest

    async def _reach(self, store: Store) -> None:
        try:
            await asyncio.to_thread(store.open)
        except UnreachableError as error:
            self._warn(str(error))

    async def _reach_late(self, store: Store, registry: Registry) -> None:
        """Try to open what was out of reach at the start, and to read it."""
        try:
            await self._reach(store)
        except StartError as error:
            self._warn(str(error))
        if store.is_open:
            await self._fill(store, registry)

    async def _fill(self, store: Store, registry: Registry) -> None:
        """Restore what the store holds; if it cannot be read for now, it stays unfilled, and nothing is written."""
        try:
            kept = await self._read_all(store)
        except UnreachableError as error:
            self._warn(str(error))
            return
        self._filled = True
        for fault in parts.restore(registry, kept.numbers):
            self._log.error("store: a part begins at zero", detail=fault)
        self._restore_entries(kept)
        for fault in self._archive.restore(kept.pages) if self._archive is not None else ():
            self._log.error("store: some of the history of connections is left out", detail=fault)

    def _handed(self, entries: Sequence[tuple[str, str, str]]) -> _Kept:
        """Return entries as if they had been read."""
        now = self._clock.wall_ns() // NS
        found: dict[str, list[tables.Entry]] = {}
        for kind, key, body in entries:
            found.setdefault(kind, []).append(tables.Entry(key, body, now))
        return _Kept(parts.Kept({}), [], {kind: found.get(kind, []) for kind in (self.entries or Drawers(())).kinds})

    def _restore_entries(self, kept: _Kept) -> None:
        for fault in self.entries.restore(kept.entries) if self.entries is not None else ():
            self._log.error("store: an entry is left out", detail=fault)

    async def _read_all(self, store: Store) -> _Kept:
        now = self._clock.wall_ns() // NS
        minutes = partial(rollups.minutes, after=now - self._metrics.minutes * MINUTE, until=now + MINUTE)
        samples = {
            kind: partial(tables.samples, kind=kind, after=now - kept)
            for kind, kept in parts.retention(self._metrics).items()
        }
        pages = self._archive.pages if self._archive is not None else 0
        return _Kept(
            numbers=parts.Kept(
                parts=await self._read(store, "parts", tables.parts, dict[str, bytes]),
                minutes=await self._read(store, "minutes", minutes, list[Minute]),
                samples={kind: await self._read(store, kind, ask, list[bytes]) for kind, ask in samples.items()},
            ),
            pages=await self._read(store, "history", partial(tables.pages, limit=pages), list[tables.Page]),
            entries={kind: await self._entries(store, kind) for kind in (self.entries.kinds if self.entries else ())},
        )

    async def _entries(self, store: Store, kind: str) -> list[tables.Entry]:
        return await self._read(store, kind, partial(tables.entries, kind=kind), list[tables.Entry])

    async def _read(
        self, store: Store, table: str, ask: Callable[[Connection], Found], nothing: Callable[[], Found]
    ) -> Found:
        try:
            return await asyncio.to_thread(store.read, ask)
        except RowError as error:
            self._log.error("store: a table begins anew", table=table, detail=str(error))
            return nothing()

    def _warn(self, detail: str) -> None:
        now = self._clock.monotonic_ns()
        if self._told_ns is None or now - self._told_ns >= TELL_NS:
            self._told_ns = now
            self._log.warning("store cannot be reached: nothing is kept for now", detail=detail)

    def _tell(self, notice: Notice) -> None:
        if notice.level == "error":  # a file was set aside, or a checkpoint given up, and the pages in it
            self._lost = True
        tell: Callable[..., None] = getattr(self._log, notice.level)
        tell(notice.event, detail=notice.detail)
