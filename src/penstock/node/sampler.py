"""Once a second: read every worker's ledger, add up, and publish one snapshot."""

import os
from collections.abc import Callable, Mapping

import penstock
from penstock.base.clock import NS, Clock
from penstock.metrics.composing import ended_view, picture, switched
from penstock.metrics.fold import TROUBLES, LedgerReader
from penstock.metrics.growth import Growth
from penstock.metrics.live import Live, Share, rfc3339
from penstock.metrics.registry import Registry
from penstock.metrics.resumed import SavedReader
from penstock.metrics.snapshot import EndedView, NodeView, Snapshot, State
from penstock.metrics.troubled import NOBODY, Troubled, together


class Sampler:
    """
    Reads ledgers. The supervisor says when, and which.

    Args:
        clock: Gives the time.
        registry: Keeps the totals.

    Attributes:
        registry: The same.
        state: What the next snapshot says of the node; the supervisor sets it.
        snapshot: The last one; at first one of a node that has done nothing.
        watch: Called with each growth; set by who looks for offenders.
        troubled: Whose connections went wrong in the second before it.
    """

    def __init__(self, clock: Clock, registry: Registry) -> None:
        self._clock = clock
        self.registry = registry
        self.state: State = "starting"
        self.watch: Callable[[Growth], None] = lambda growth: None
        self._readers: dict[int, LedgerReader] = {}
        self._troubles: list[EndedView] = []
        self._wrong: list[Troubled] = []
        self.troubled = NOBODY
        self._started, self._started_at = clock.monotonic_ns(), rfc3339(clock.wall_ns())
        registry.since_ns = clock.wall_ns()
        self.snapshot = self.tick()

    def attach(self, generation: int, fd: int) -> None:
        """
        Begin to read a ledger.

        Args:
            generation: Number of the worker's incarnation, 1 or more, never used twice.
            fd: Descriptor of its ledger; may be closed afterwards.

        Raises:
            ValueError: If this generation is attached, which would count its connections twice.
        """
        if generation in self._readers:
            raise ValueError(f"generation {generation} is attached already")
        self._readers[generation] = LedgerReader(fd, generation)

    def adopt(self, fd: int, saved: SavedReader) -> None:
        """
        Read on in a ledger that another supervisor has read until now.

        Args:
            fd: Descriptor of the ledger; may be closed afterwards.
            saved: How far it was read.

        Raises:
            ValueError: If the ledger cannot be read on, or its generation is attached.
        """
        if saved.generation in self._readers:
            raise ValueError(f"generation {saved.generation} is attached already")
        self._readers[saved.generation] = LedgerReader(fd, saved.generation, saved)

    def export(self) -> list[SavedReader]:
        """Return how far every ledger was read."""
        return [reader.export() for reader in self._readers.values()]

    def detach(self, generation: int) -> None:
        """Read the ledger of a worker that is no more, one last time: what is open in it has ended."""
        reader = self._readers.pop(generation, None)
        if reader is not None:
            self._add(reader, reader.fold(dead=True, texts=self.registry.records.wanted))
            self.registry.detach(generation)

    def switch(self, wanted: Mapping[str, bool]) -> dict[str, bool]:
        """Switch parts of the collection, at once in the snapshot; see `Registry.switch`."""
        changed = self.registry.switch(wanted)
        self.snapshot = switched(self.snapshot, self.registry)
        return changed

    def readers(self) -> list[LedgerReader]:
        """Return the readers of all ledgers that are written."""
        return list(self._readers.values())

    def tick(self, *, last: bool = False) -> Snapshot:
        """Read all ledgers and return the new snapshot, the last one or not."""
        now, wall = self._clock.monotonic_ns(), self._clock.wall_ns()  # before the work: even ticks, even rates
        texts = self.registry.records.wanted
        shares = [Share(reader, self._add(reader, reader.fold(texts=texts)).rows) for reader in self._readers.values()]
        self.registry.tick(now, wall, last=last)
        self.registry.records.seal(now, wall)
        troubles, self._troubles = self._troubles, []
        self.troubled, self._wrong = together(self._wrong), []
        self.snapshot = picture(
            self.registry,
            node=self._node(now),
            pids=[reader.pid for reader in self._readers.values()],
            live=Live(shares, self.registry.scopes, now, wall),
            wall_ns=wall,
            troubles=tuple(troubles),
        )
        return self.snapshot

    def _add(self, reader: LedgerReader, growth: Growth) -> Growth:
        self.registry.add(growth, reader.generation)
        self.watch(growth)
        room = TROUBLES - len(self._troubles)
        scopes = self.registry.scopes
        self.registry.records.add(reader.generation, growth, scopes, self._clock.monotonic_ns())
        self._troubles += [ended_view(trouble, reader.generation, scopes) for trouble in growth.troubles[:room]]
        if len(growth.troubled.counts):
            self._wrong.append(growth.troubled)
        return growth

    def _node(self, now_ns: int) -> NodeView:
        return NodeView(
            name=self.registry.plan.name,
            version=penstock.__version__,
            started_at=self._started_at,
            counts_since=rfc3339(self.registry.since_ns),
            uptime=(now_ns - self._started) / NS,
            state=self.state,
            pid=os.getpid(),
        )
