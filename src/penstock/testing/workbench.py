"""A data plane on the bench: one worker in a thread, with a ledger and a control pair that the test holds."""

import contextlib
import mmap
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock.base.clock import NS
from penstock.base.outcomes import Outcome, unpack
from penstock.config.plan import ListenerPlan, RoutePlan, TargetPlan, TimeoutPlan, WorkerPlan
from penstock.dataplane import orders
from penstock.dataplane.connection import Connection
from penstock.dataplane.worker import Worker
from penstock.metrics import ledger, tallies
from penstock.testing.procfs import unread

PATIENCE_S = 30.0
"""How long a condition is waited for before the test fails; what should happen happens in milliseconds. A node has
taken over ten seconds to begin on a machine whose cores others had."""

STILL = 30
"""Looks, 2 ms apart, at a row that has not changed: what moves, moves within one."""


def wait_for(condition: Callable[[], Any], what: str = "the condition", seconds: float = PATIENCE_S) -> Any:
    """Return what `condition` returns once it is true; fail if it does not become so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.002)
    raise AssertionError(f"waited {seconds:g} s for {what}")


@dataclass(frozen=True)
class Row:
    """One row of the ledger, as the sampler would see it."""

    state: int
    client_rx: int
    client_tx: int
    target_rx: int
    target_tx: int
    requests: int
    outcome: Outcome | None
    texts: tuple[str, ...]


@dataclass
class Bench:
    """
    A running worker.

    Attributes:
        worker: The worker; its thread owns it, so a test only reads.
        words: The ledger's words, which outlive the worker.
        ports: Port by listener name.
        control: The supervisor's end of the control pair.
        reports: What the worker has said so far, as far as it was read.
        forgiving: Whether an internal error of the worker leaves the block without a failure.
        ahead_ns: How far the worker's clock is before that of this machine; unit ns.
    """

    worker: Worker
    words: memoryview
    ports: dict[str, int]
    control: socket.socket
    ledger_fd: int
    thread: threading.Thread
    reports: list[orders.Report] = field(default_factory=list)
    forgiving: bool = False
    ahead_ns: int = 0

    def clock(self) -> int:
        """Return the time as the worker has it: this machine's, and what `later` added; unit ns."""
        return time.monotonic_ns() + self.ahead_ns

    def later(self, seconds: float) -> None:
        """
        Let the worker's clock be later at once, and return when those have been woken who wait for a time until then.

        Deadlines of a minute which end this way hold on a busy machine too: nothing can be late before they end.
        """
        self.ahead_ns += int(seconds * NS)
        self.worker.reactor.clock = self.clock
        self.turn()

    def turn(self) -> None:
        """Return when the turn that is under way now is over, and what it has buried is closed."""
        for _ in range(2):  # what is posted runs before its turn's timers and burials do
            turned = threading.Event()
            self.worker.reactor.post(turned.set)
            assert turned.wait(PATIENCE_S), "the worker does not turn"

    def await_read(self, client: socket.socket) -> None:
        """Wait until the worker has read all that this client has sent so far."""
        wait_for(lambda: unread(client) == 0, "the worker to read")

    def rows(self) -> list[Row]:
        """Return every row that was ever used."""
        used = range(self.words[ledger.H_HIGH])
        return [self._row(ledger.HEADER_WORDS + index * ledger.ROW_WORDS) for index in used]

    def row(self, index: int) -> Row | None:
        """Return one row by its place, the order of accepts while none is used again; None if it is not used."""
        if index >= self.words[ledger.H_HIGH]:
            return None
        return self._row(ledger.HEADER_WORDS + index * ledger.ROW_WORDS)

    def settled(self, index: int = 0) -> Row:
        """Return a row once its counters have stood still for a while: whoever could move bytes waits for another."""
        seen: list[Row | None] = [None]

        def look() -> Row | None:
            seen.append(self.row(index))
            still = seen[-1] is not None and len(seen) > STILL and seen[-STILL:] == [seen[-1]] * STILL
            return seen[-1] if still else None

        found: Row = wait_for(look, f"row {index} to stand still")
        return found

    def connections(self) -> list[Connection]:
        """Return the worker's open connections, to look into."""
        return self.worker.connections()

    def answers(self) -> dict[int, int]:
        """Return how many requests are over, by the status that the client got; 0 stands for none."""
        used = self.words[ledger.H_TALLIES] * tallies.SLOT_WORDS
        slots = range(self._tallies, self._tallies + used, tallies.SLOT_WORDS)
        codes = (tallies.NO_CODE, *range(100, tallies.CODES))
        return +Counter({code: sum(self.words[slot + code] for slot in slots) for code in codes})

    def timed(self) -> int:
        """Return how many requests are over whose duration is known."""
        return sum(
            sum(self.words[start + tallies.BUCKETS : start + tallies.BUCKETS + tallies.BUCKET_COUNT])
            for start in range(self._tallies, len(self.words), tallies.SLOT_WORDS)
        )

    @property
    def _tallies(self) -> int:
        return len(self.words) - ledger.TALLY_BYTES // 8

    def _row(self, base: int) -> Row:
        words = self.words
        state = words[base] & 3
        outcome = unpack(words[base + ledger.OUTCOME]) if state == ledger.REST else None
        index = (base - ledger.HEADER_WORDS) // ledger.ROW_WORDS
        start = (ledger.HEADER_WORDS + self.worker.ledger.rows * ledger.ROW_WORDS) * 8 + index * ledger.TEXT_BYTES
        length = words[base + ledger.TEXT] & ledger.TEXT_LENGTH
        text = os.pread(self.ledger_fd, length, start).decode(errors="replace")
        return Row(
            state=state,
            client_rx=words[base + ledger.CLIENT_RX],
            client_tx=words[base + ledger.CLIENT_TX],
            target_rx=words[base + ledger.TARGET_RX],
            target_tx=words[base + ledger.TARGET_TX],
            requests=words[base + ledger.REQUESTS],
            outcome=outcome,
            texts=tuple(text.split("\0")),
        )

    def ended(self, count: int = 1) -> list[Row]:
        """Return the rows once `count` of them have ended."""

        def look() -> list[Row] | None:
            rows = [row for row in self.rows() if row.state == ledger.REST]
            return rows if len(rows) >= count else None

        found: list[Row] = wait_for(look, f"{count} ended connections, there are {self.rows()}")
        return found

    def connect(self, name: str = "main") -> socket.socket:
        """Return a client's socket, connected to a listener."""
        return socket.create_connection(("127.0.0.1", self.ports[name]), timeout=PATIENCE_S)

    def order(self, order: orders.Order, fds: Sequence[int] = ()) -> None:
        """Tell the worker something, with copies of descriptors."""
        if fds:
            socket.send_fds(self.control, [orders.serialize(order)], fds)
        else:
            self.control.send(orders.serialize(order))

    def report(self, kind: type) -> Any:
        """Return the next report of this kind; what comes before it is kept in `reports`."""
        self.control.settimeout(PATIENCE_S)
        while True:
            report = orders.parse_report(self.control.recv(orders.PACKET_BYTES))
            self.reports.append(report)
            if isinstance(report, kind):
                return report

    def faults(self) -> list[str]:
        """Return the internal errors that the worker has told of; what it has said until now is read."""
        self.control.setblocking(False)
        with contextlib.suppress(OSError):
            while packet := self.control.recv(orders.PACKET_BYTES):
                self.reports.append(orders.parse_report(packet))
        return [each.detail for each in self.reports if isinstance(each, orders.Notice) and each.level == "error"]

    def tick(self) -> None:
        """Let the ledger believe that the supervisor has read it."""
        self.words[ledger.H_TICK] += 1


def listener(name: str = "main", protocol: str = "tcp", *targets: int, **more: Any) -> ListenerPlan:
    """Return the plan of a listener on loopback that sends to these ports of loopback."""
    plans = tuple(TargetPlan(id=number, host="127.0.0.1", port=port) for number, port in enumerate(targets, 1))
    route = RoutePlan(id=1, name="default", targets=more.pop("targets", plans))
    fields: dict[str, Any] = {"id": 1, "name": name, "protocol": protocol, "host": "127.0.0.1", "port": 0}
    return ListenerPlan(**fields | {"route": route} | more)


@contextlib.contextmanager
def bench(*plans: ListenerPlan, timeouts: TimeoutPlan | None = None, **more: Any) -> Iterator[Bench]:
    """
    Run a worker with these listeners on free ports. An internal error of the worker fails the block at its end.

    Args:
        plans: Listeners; they get their ids in this order.
        timeouts: Deadlines; by default those of the product.
        more: Other fields of `WorkerPlan`.
    """
    numbered, descriptors, ports = [], {}, {}
    for number, plan in enumerate(plans, 1):
        sock = _listening()
        ports[plan.name] = sock.getsockname()[1]
        numbered.append(msgspec.structs.replace(plan, id=number, port=ports[plan.name]))
        descriptors[number] = sock.detach()
    own = tuple(("127.0.0.1", port) for port in ports.values())
    fields: dict[str, Any] = {"ledger_rows": 4_096, "own_addresses": own} | more
    worker_plan = WorkerPlan(listeners=tuple(numbered), timeouts=timeouts or TimeoutPlan(), **fields)
    fd = ledger.create(worker_plan.ledger_rows)
    ours, theirs = orders.pair()
    worker = Worker(worker_plan, fd, theirs, descriptors, 1)
    thread = threading.Thread(target=worker.run, name="worker under test", daemon=True)
    words = memoryview(mmap.mmap(fd, ledger.size_of(worker_plan.ledger_rows), prot=mmap.PROT_READ | mmap.PROT_WRITE))
    found = Bench(worker, words[: len(words) // 8 * 8].cast("Q"), ports, ours, fd, thread)
    thread.start()
    found.report(orders.Ready)
    try:
        yield found
    finally:
        with contextlib.suppress(OSError):
            found.order(orders.Stop())
        thread.join(PATIENCE_S)
        faults = found.faults()
        reused = worker.ledger.serial > worker.ledger.high
        asked, answered = sum(row.requests for row in found.rows()), sum(found.answers().values())
        ours.close()
        os.close(fd)
        assert not thread.is_alive(), "the worker did not stop"
        assert found.forgiving or not faults, faults[0]
        assert reused or answered == asked, "a request was not counted once, with its status"


def _listening() -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(1_024)
    sock.setblocking(False)
    return sock


def quick(**seconds: float) -> TimeoutPlan:
    """Return deadlines with some of them short, in seconds."""
    return TimeoutPlan(**{name: int(value * NS) for name, value in seconds.items()})
