"""
A worker: one reactor, one ledger, and the listeners that the supervisor handed over.

It says and is told little (dataplane/orders.py). When its supervisor dies it ends too: nobody would read its ledger.
"""

import argparse
import gc
import mmap
import os
import resource
import signal
import socket
import sys
import time
import traceback

import msgspec

from penstock.base.addresses import pack_ip
from penstock.base.bounds import DESCRIPTOR_RESERVE, RELAY_BUFFER_BYTES
from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy
from penstock.config.plan import WorkerPlan
from penstock.dataplane import limit_table, orders
from penstock.dataplane.access_log import AccessLog
from penstock.dataplane.bans import NONE, Bans, parse, serialize, take_packet
from penstock.dataplane.board import GENERATION, Board
from penstock.dataplane.challenges import Challenges
from penstock.dataplane.complaints import Complaints
from penstock.dataplane.connection import CANCELLED, Connection
from penstock.dataplane.doorman import Doorman, minute_of_week
from penstock.dataplane.entrance import Entrance
from penstock.dataplane.equipment import Prepared, prepare
from penstock.dataplane.handlers import Handlers
from penstock.dataplane.limit_table import ALONE, LimitTable, Seats
from penstock.dataplane.listener import Listener
from penstock.dataplane.locality import OwnAddresses
from penstock.dataplane.parting import SHARE, Parting
from penstock.dataplane.pool import Pool
from penstock.dataplane.quotas import Quotas
from penstock.dataplane.reactor import EDGE_IN, FOREVER, Reactor
from penstock.dataplane.reaper import Reaper
from penstock.dataplane.reloading import Reloading
from penstock.dataplane.resolver import Resolver
from penstock.dataplane.splice import Pipes
from penstock.dataplane.tls import Detour
from penstock.dataplane.unraisable import Unraisable
from penstock.dataplane.verifying import Logins
from penstock.metrics.ledger import H_ACCEPTED, H_PAUSES, STATE, Ledger

HOUSEKEEPING_NS = NS

TRACEBACK_CHARS = 8_192
"""The end of a traceback that a notice carries."""

RESUME_SHARE = 0.95
"""Accepting goes on when this share of the limit is in use, so that it does not flutter around it."""


class Worker:
    """
    Serves the listeners of a plan.

    Args:
        plan: What to serve.
        ledger_fd: The ledger to write; `plan.ledger_rows` rows.
        control: The worker's end of `orders.pair()`.
        listeners: Descriptor by listener id; each is bound, listens and does not block. The worker owns them.
        number: Which worker of the node this is, for notices.
        board: Descriptor of how targets are; -1 where nobody says.
        limits: Its place in the limit table; by default one of its own.
        bans: Descriptors of who is banned; see `Bans`.

    Attributes:
        minute: Of the week, by the machine's clock.
        paused: Whether clients are left in the backlog.
        attentive: Whether the end of a connection may change something; then `look` says what.
        buffer, view: Shared by all connections of this worker: nothing stays in it between two events.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        ledger_fd: int,
        control: socket.socket,
        listeners: dict[int, int],
        number: int,
        board: int = -1,
        limits: Seats = ALONE,
        bans: tuple[int, int, int] = NONE,
    ) -> None:
        self.plan, self.number, self._control = plan, number, control
        self.listeners: list[Listener] = []
        self.reactor = Reactor(self.crashed)
        self.ledger = Ledger(ledger_fd, plan.ledger_rows, os.getpid())
        self.words, self.tallies = self.ledger.words, self.ledger.tallies
        self.board, self._board_seen = Board(board), 0
        self.challenges = Challenges(self.board)
        table = LimitTable(limits.fd if limits.fd >= 0 else limit_table.create(number + 1), limits.column + number)
        table.sum_up(limits.first, limits.columns)
        self.entrance, self.bans = Entrance(table), Bans(bans)
        self.quotas = Quotas(self)
        # begins with a page: where malloc put it, the kernel's copies took a quarter longer in some workers
        self.buffer = mmap.mmap(-1, RELAY_BUFFER_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self.buffer)
        self.resolver = Resolver(self.reactor, plan.dns_ttl, plan.dns_negative_ttl)
        self.handlers = Handlers(self.reactor, self.report)
        self.complaints = Complaints("request failed", self.reactor, self.report)
        self.logins = Logins(self.reactor, self.report)
        self.pool = Pool(self.reactor, plan.timeouts.pool_idle or FOREVER)
        self.pipes = Pipes(plan.splice)
        self.detour = Detour()
        self.access = None if plan.access.format == "off" else AccessLog(plan)
        self.draining = self.paused = self.attentive = False
        self.minute = minute_of_week(time.localtime())
        self._descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - DESCRIPTOR_RESERVE
        prepared = prepare(plan, self)
        self._adopt(prepared)
        self.listeners = [Listener(self, each, listeners[each.plan.id]) for each in prepared.equipment.values()]

    def _adopt(self, prepared: Prepared) -> None:
        """Take what a plan says of everything but listeners."""
        self.plan, self.routes = prepared.plan, prepared.routes
        if self.access is not None:
            self.access.serve(self.plan)
        self.entrance.equip(self.plan)
        self.doorman = Doorman(self, prepared.equipment.values()) or None
        self._ask()
        timeouts = self.plan.timeouts
        self.own = OwnAddresses(self.plan.own_addresses)
        self.handshake, self.connect = timeouts.handshake or FOREVER, timeouts.connect or FOREVER
        self.idle, self.half_closed_idle = timeouts.idle or FOREVER, timeouts.half_closed or FOREVER
        self.keep_alive = timeouts.http_keep_alive or FOREVER
        self._limit = max(1, min(self._descriptors // 2, self.plan.ledger_rows))

    def _ask(self) -> None:
        self.entrance.ask(bans=self.bans or None, access=self.doorman)

    def run(self) -> None:
        """Serve until told to end. Blocks."""
        self.reactor.watch(self._control.fileno(), self, EDGE_IN)
        for listener in self.listeners:
            listener.listen()
        self._housekeep(self.reactor.now)
        Reaper(self).start()
        self.report(orders.Ready(os.getpid()))
        self.reactor.run()
        self._close()

    def _close(self) -> None:
        if not self.draining:
            for listener in self.listeners:
                self.reactor.bury(listener.fd, listener.sock)
        for connection in self.connections():
            connection.abort(EndedBy.ADMIN)
        if self.access is not None:
            self.access.close()
        self.pool.close()
        self.pipes.close()
        self.detour.close()
        self.resolver.close()
        self.handlers.close()
        self.reactor.close()
        self.ledger.close()
        self.board.close()
        self.entrance.table.close()
        self.bans.close()
        self._control.close()

    def connections(self) -> list[Connection]:
        """Return every open connection: each has its client's descriptor in the table."""
        found = []
        for handler in list(self.reactor.table.values()):
            connection = handler if type(handler) is Connection else getattr(handler, "connection", None)
            if connection is not None and connection.row:
                found.append(connection)
        return list(dict.fromkeys(found))

    # Orders ----------------------------------------------------------------------------------------------------------

    def ready(self, fd: int, mask: int) -> None:
        """Read what the supervisor says; its end of file is its death."""
        while True:
            try:
                packet, fds = orders.receive(self._control)
            except BlockingIOError:
                return
            except OSError:
                packet, fds = b"", []
            if not packet:
                self.reactor.stop()
                return
            try:
                order = orders.parse_order(packet)
            except msgspec.MsgspecError as error:
                self.report(orders.Notice("error", "order not understood", str(error)))
            else:
                self._obey(order, fds)

    def _obey(self, order: orders.Order, fds: list[int]) -> None:
        if isinstance(order, orders.Stop):
            self.reactor.stop()
        elif isinstance(order, orders.Drain):
            self._drain(order.deadline_ns)
        elif isinstance(order, orders.Reopen):
            if self.access is not None:
                self.access.file.reopen()
        elif isinstance(order, orders.Reload):
            Reloading(self, order, fds).start()
        elif isinstance(order, orders.CutClients):
            self._cut_clients(order)
        elif isinstance(order, orders.CloseConnection):
            self.report(orders.Closed(order.serial, self._cut(order.serial)))
        else:
            self._learn(order, fds)

    def _learn(self, order: orders.News, fds: list[int]) -> None:
        """Go by something else from now on."""
        if isinstance(order, orders.Spent):
            self.quotas.take(order)
        elif isinstance(order, orders.Verified):
            self.logins.hear(order)
        elif isinstance(order, orders.SumUp):
            self.entrance.table.sum_up(order.first, order.count)
        elif isinstance(order, orders.NewUsers):
            self.logins.forget()
        else:
            if why := take_packet(self.bans, order.place, fds):
                self.report(orders.Notice("error", "bans of networks stay as they were", why))
            self._ask()

    def _cut(self, serial: int) -> bool:
        for connection in self.connections():
            if self.words[connection.row + STATE] >> 2 == serial:
                connection.detail = "closed by the operator"
                connection.abort(EndedBy.ADMIN)
                return True
        return False

    def _cut_clients(self, order: orders.CutClients) -> None:
        for connection in self.connections():
            packed = pack_ip(connection.host).hex()
            if any(first <= packed <= last for first, last in order.ranges):
                connection.detail = "its client was banned"
                connection.abort(EndedBy.ADMIN)

    def serve(self, prepared: Prepared, fds: dict[int, int]) -> None:
        """
        Serve another plan from the next connection on.

        Args:
            prepared: Built from it.
            fds: Descriptors of its new listeners by id; each is bound, listens and does not block.
        """
        self._adopt(prepared)
        kept: list[Listener] = []
        for listener in self.listeners:
            equipment = prepared.equipment.get(listener.plan.id)
            if equipment is None or listener.plan.id in fds:  # gone, or moved to another address
                listener.close()
            else:
                listener.equip(equipment)
                kept.append(listener)
        for number, fd in fds.items():
            listener = Listener(self, prepared.equipment[number], fd)
            listener.listen()
            if self.paused:
                listener.pause()
            kept.append(listener)
        self.listeners = kept

    def report(self, report: orders.Report) -> bool:
        """Tell the supervisor, and return whether it will read it: what it does not take is not worth waiting for."""
        try:
            self._control.send(orders.serialize(report), socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    # Drain -----------------------------------------------------------------------------------------------------------

    def _drain(self, deadline: int) -> None:
        if self.draining:  # in more of a hurry than before
            self.reactor.at(deadline, _DrainDeadline(self))
            return
        self.draining = True
        self.attentive = False  # so that nobody looks before all doors are closed
        for listener in self.listeners:
            listener.close()
        spread = max(0, deadline - self.reactor.now) // SHARE
        for connection in self.connections():
            if connection.kept:
                Parting(connection, spread)
        self.reactor.at(deadline, _DrainDeadline(self))
        self.attentive = True
        self.look()

    def cut_all(self) -> None:
        """End what still runs at the drain's deadline."""
        for connection in self.connections():
            connection.end(CANCELLED)

    # Limits ----------------------------------------------------------------------------------------------------------

    def room(self) -> int:
        """Return how many connections fit, each with two descriptors; for none, accepting pauses until one does."""
        rows = self._limit - self.ledger.open_rows
        pairs = (self._descriptors - len(self.reactor.table)) >> 1
        if rows <= 0:
            self.pause(f"{self.ledger.open_rows} connections are open")
        elif pairs <= 0:
            self.pause(f"{len(self.reactor.table)} descriptors are in use")
        if self.paused:
            return 0
        return rows if rows < pairs else pairs

    def pause(self, detail: str) -> None:
        """Leave new clients in the backlog until there is room."""
        if self.paused:
            return
        self.paused = self.attentive = True
        self.words[H_PAUSES] += 1
        for listener in self.listeners:
            listener.pause()
        self.report(orders.Notice("warning", "accept paused", detail))

    def _resume(self) -> None:
        self.paused = False
        self.attentive = self.draining
        for listener in self.listeners:
            listener.resume()
        self.report(orders.Notice("info", "accept resumed", f"{self.ledger.open_rows} connections are open"))

    def look(self) -> None:
        """See whether a drain is over, or there is room again: called for each end while somebody is attentive."""
        if self.draining:
            if not self.ledger.open_rows:
                self.attentive = False
                self.report(orders.Drained())
                self.reactor.stop()
        elif self.ledger.open_rows <= self._limit * RESUME_SHARE and self._has_descriptors():
            self._resume()

    def _has_descriptors(self) -> bool:
        return len(self.reactor.table) + 2 <= self._descriptors * RESUME_SHARE

    def wake(self, now: int) -> None:
        """Do what is due once a second."""
        self._housekeep(now)

    def _housekeep(self, now: int) -> None:
        self.ledger.collect()
        if self.access is not None and (lost := self.access.write(now)):
            self.report(orders.Notice("warning", "access log lines lost", lost))
        self.words[H_ACCEPTED] = self.ledger.serial
        minute = minute_of_week(time.localtime())
        if minute != self.minute:
            self.minute = minute
            self.entrance.forget()  # access rules have their times
        if self.attentive and not self.draining:
            self.look()
        for listener in self.listeners:
            if listener.contexts is not None:
                listener.contexts.tickets.look()
        if self._board_seen != self.board.words[GENERATION]:
            self._board_seen = self.board.words[GENERATION]
            self.pool.drop_out(self.board)
        self.reactor.at(now + HOUSEKEEPING_NS, self)

    def crashed(self, owner: object, error: Exception) -> None:
        """A bug escaped from a handler: end that connection as internal, tell the supervisor, go on."""
        owner = getattr(owner, "func", owner)  # a partial, and what it calls
        connection = getattr(owner, "__self__", owner)  # a method, and whose it is
        while connection is not None and not isinstance(connection, Connection):
            connection = getattr(connection, "connection", None)
        text = "".join(traceback.format_exception(error))[-TRACEBACK_CHARS:]
        self.report(orders.Notice("error", "internal error", text))
        if connection is not None:
            try:
                connection.abort(EndedBy.INTERNAL)
            except Exception as second:
                self.report(orders.Notice("error", "internal error", repr(second)))


class _DrainDeadline:
    """Ends what still runs when the drain has lasted long enough."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def wake(self, now: int) -> None:
        self._worker.cut_all()


def main(arguments: list[str] | None = None) -> None:
    """Run a worker process with the descriptors that the supervisor passed to it."""
    parser = argparse.ArgumentParser(prog="penstock.dataplane.worker")
    for name in ("plan", "ledger", "control", "number"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--listeners", required=True, help="ID=FD,ID=FD")
    parser.add_argument("--board", type=int, default=-1)
    parser.add_argument("--limits", default=limit_table.serialize(ALONE), help="FD,COLUMN,FIRST,COLUMNS")
    parser.add_argument("--bans", default=serialize(NONE), help="FD,FD,FD")
    given = parser.parse_args(arguments)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(ignored, signal.SIG_IGN)  # they reach the whole group; the supervisor decides
    plan = msgspec.json.decode(_read_all(given.plan), type=WorkerPlan)
    pairs = (pair.split("=") for pair in given.listeners.split(",") if pair)
    listeners = {int(number): int(fd) for number, fd in pairs}
    control = socket.socket(fileno=given.control)
    shared = given.board, limit_table.parse(given.limits), parse(given.bans)
    worker = Worker(plan, given.ledger, control, listeners, given.number, *shared)
    sys.unraisablehook = Unraisable(worker.report)
    tune_garbage_collector()
    worker.run()


def tune_garbage_collector() -> None:
    """
    Keep the collector off the path of a byte.

    Connections let go of their cycles themselves, so it finds nothing; with ten thousand idle ones a full collection
    would take tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


def _read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        return file.read()


if __name__ == "__main__":
    main()
