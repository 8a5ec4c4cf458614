"""Keeps what a node has counted: restores it at start, hands checkpoints to the store while it runs and at its end."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from penstock.base.clock import NS, Clock
from penstock.base.errors import StartError
from penstock.config.plan import StorePlan
from penstock.metrics import parts
from penstock.metrics.record_pages import Archive
from penstock.metrics.registry import Registry
from penstock.node.log import Log
from penstock.store import tables
from penstock.store.checkpoint import Checkpoint
from penstock.store.store import Store, UnreachableError
from penstock.store.tables import RowError
from penstock.store.writer import TELL_NS, Notice


class Keeper:
    """
    The supervisor's hand on the store. All work of the disk is done in threads.

    Args:
        plan: Where the store is, and how often it is written.
        log: Where trouble is told.
        clock: Gives the time.
    """

    def __init__(self, plan: StorePlan, log: Log, clock: Clock) -> None:
        self._plan, self._log, self._clock = plan, log, clock
        self._store = Store(Path(plan.path), clock, self._tell) if plan.path else None
        self._registry: Registry | None = None
        self._archive: Archive | None = None
        self._lost = False
        self._flusher: asyncio.Task[None] | None = None
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
        if self._store is not None and self._store.is_open:
            await self._fill(self._store, registry)

    def run(self) -> None:
        """Begin to make checkpoints."""
        if self._store is not None:
            self._flusher = asyncio.create_task(self._flush_for_ever(self._store))

    async def close(self) -> None:
        """Make the last checkpoint, and return when it is written or the disk has had its time."""
        if self._flusher is not None:
            self._flusher.cancel()
        store = self._store
        if store is None:
            return
        if self._flusher is not None and self._registry is not None and store.is_open:
            store.submit(self._checkpoint(self._registry))
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
        if store.is_open or await self._reach_late(store, registry):
            store.submit(self._checkpoint(registry))

    def _checkpoint(self, registry: Registry) -> Checkpoint:
        pages, oldest = self._export(self._archive) if self._archive is not None else ((), 0)
        return Checkpoint(
            at=self._clock.wall_ns() // NS, parts=parts.export(registry), pages=pages, oldest=oldest
        )  # fmt: skip

    def _export(self, archive: Archive) -> tuple[tuple[tables.Page, ...], int]:
        """Return pages of records, and which is the oldest record still wanted."""
        if self._lost:
            self._lost = False
            archive.forget()
        pages, oldest = archive.export()
        return tuple(tables.Page(*page) for page in pages), oldest

    async def _reach(self, store: Store) -> None:
        try:
            await asyncio.to_thread(store.open)
        except UnreachableError as error:
            self._warn(str(error))

    async def _reach_late(self, store: Store, registry: Registry) -> bool:
        """Try to open what was out of reach at the start; returns whether it is open."""
        try:
            await self._reach(store)
        except StartError as error:
            self._warn(str(error))
        if store.is_open:
            await self._fill(store, registry)
        return store.is_open

    async def _fill(self, store: Store, registry: Registry) -> None:
        await self._fill_parts(store, registry)
        await self._fill_records(store)

    async def _fill_parts(self, store: Store, registry: Registry) -> None:
        try:
            found = await asyncio.to_thread(store.read, tables.parts)
        except (UnreachableError, RowError) as error:
            self._log.error("store: what was kept cannot be read; counting begins at zero", detail=str(error))
            return
        for fault in parts.restore(registry, found):
            self._log.error("store: a part begins at zero", detail=fault)

    async def _fill_records(self, store: Store) -> None:
        archive = self._archive
        if archive is None or not archive.pages:
            return
        try:
            pages = await asyncio.to_thread(store.read, partial(tables.pages, limit=archive.pages))
        except (UnreachableError, RowError) as error:
            self._log.error("store: the history of connections cannot be read; it begins anew", detail=str(error))
            return
        for fault in archive.restore(pages):
            self._log.error("store: some of the history of connections is left out", detail=fault)

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
