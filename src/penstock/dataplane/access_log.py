"""
The access log of a worker: one line for each HTTP request, and one for each other connection at its end.

What clients ask is seen by listening to conversations as they go by, so nothing of this runs where the log is off. A
tunnel (CONNECT, or a change of protocol) is told when it ends, with all that it moved.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from penstock.base.addresses import unmap
from penstock.base.clock import NS
from penstock.base.outcomes import unpack
from penstock.config.plan import AccessPlan, RoutePlan, WorkerPlan
from penstock.connection.commands import Answer, Conversation, Describe, Exchange
from penstock.connection.http import HEAD
from penstock.dataplane.access_file import AccessFile
from penstock.dataplane.refusals import AT_ENTRANCE, Refusals
from penstock.metrics.ledger import CLIENT_RX, CLIENT_TX, SCOPE, STARTED, TARGET_SHIFT
from penstock.protocols.http1.access_line import Answered, Who, combined, json_connection, json_request, who_is

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

SWITCHED = 101

TELL_NS = 60 * NS
"""Between two notices of lines that were lost."""


class Watch:
    """
    What is known of one connection for its lines.

    Attributes:
        head: Of the request that is under way; empty if none came whole.
        http: Whether it speaks HTTP.
        user, destination, reason: As the conversation said; the reason is why it refused the request.
        rx, tx: What its client's side had moved when the last line was written.
        tunnel: Status of the request that made it a tunnel; 0 for none.
        asked: When that had come; unit ns.
        who: Whose lines they are, once one was written.
    """

    __slots__ = ("asked", "destination", "head", "http", "reason", "rx", "tunnel", "tx", "user", "who")

    def __init__(self) -> None:
        self.head, self.http, self.user, self.destination = b"", False, "", ""
        self.reason = ""
        self.rx = self.tx = self.tunnel = self.asked = 0
        self.who: Who | None = None

    def repeat(self, head: bytes, command: Exchange) -> None:
        """Note an exchange that the conversation was not asked about."""
        self.head = head
        self.destination = f"{command.host}:{command.port}" if command.host else ""

    def follow(self, words: Conversation, *, forget: bool) -> Conversation:
        """
        Say what a conversation says, and note what it says and hears.

        Args:
            words: The conversation.
            forget: Whether each request proves anew who asks.
        """
        try:
            command = next(words)
            while True:
                if command is HEAD:
                    self.http, self.head, self.reason = True, b"", ""
                    if forget:
                        self.user = ""
                elif type(command) is Describe:
                    self.user, self.destination = command.user, command.destination
                elif type(command) is Answer:
                    self.reason = command.reason or ""
                elif type(command) is Exchange:
                    self.repeat(self.head, command)
                try:
                    told: Any = yield command
                except Exception as news:  # the conversation's own to judge
                    command = words.throw(news)
                else:
                    if command is HEAD:
                        self.head = told
                    command = words.send(told)
        except StopIteration:
            return
        finally:
            words.close()


class AccessLog:
    """
    Writes lines.

    Args:
        plan: What a worker serves; its access log is on.

    Attributes:
        file: Where lines go.
        refusals: Tells of clients that were closed at the entrance; None where lines are of HTTP alone.
    """

    def __init__(self, plan: WorkerPlan) -> None:
        self._told = 0
        access = plan.access
        self._json, self._query = access.format == "json", access.query
        self.file = AccessFile(access.file)
        self.refusals = Refusals(self.file) if self._json else None
        self.plan: AccessPlan = access
        self.serve(plan)

    def write(self, now: int) -> str:
        """
        Write what was gathered, and return what an operator should know: lines that were lost, once a minute.

        Args:
            now: Monotonic time; unit ns.
        """
        if self.refusals is not None:
            self.refusals.sum_up()
        self.file.flush()
        if not self.file.dropped or (self._told and now - self._told < TELL_NS):
            return ""
        self._told = now
        return f"{self.file.take_dropped()} lines: {self.file.path}: {self.file.why}"

    def close(self) -> None:
        """Write what is left, and close the file."""
        if self.refusals is not None:
            self.refusals.sum_up()
        self.file.close()

    def watch(self, connection: "Connection", conversation: Conversation) -> Conversation:
        """Return a conversation that says the same and is listened to."""
        watch = connection.watch = Watch()
        return watch.follow(conversation, forget=connection.listener.plan.reverse)

    def serve(self, plan: WorkerPlan) -> None:
        """Learn the targets of a plan."""
        self._targets = dict(_targets((*plan.routes, *(listener.route for listener in plan.listeners))))

    def request(self, connection: "Connection", status: int, duration_ns: int) -> None:
        """Tell of a request that is over."""
        watch = connection.watch
        if watch is None or not watch.http:
            return
        if status == SWITCHED or (status == 200 and watch.head.lstrip(b"\r\n").startswith(b"CONNECT ")):
            watch.tunnel, watch.asked = status, connection.worker.reactor.clock() - duration_ns
            return
        self._tell(connection, watch, status, duration_ns)

    def _tell(self, connection: "Connection", watch: Watch, status: int, duration_ns: int) -> None:
        who = watch.who
        if who is None:
            who = watch.who = _whose(connection)
        answered = self._answered(connection, watch, status, duration_ns)
        line = json_request if self._json else combined
        self.file.add(line(who, watch.head, answered, query=self._query))

    def _answered(self, connection: "Connection", watch: Watch, status: int, duration_ns: int) -> Answered:
        words, row = connection.worker.words, connection.row
        rx, tx = words[row + CLIENT_RX], words[row + CLIENT_TX]
        target = self._targets.get(words[row + SCOPE] >> TARGET_SHIFT & 0xFFFF) or watch.destination
        found = Answered(
            time.time_ns(), watch.user, connection.route.plan.name, target, status, rx - watch.rx, tx - watch.tx,
            duration_ns, watch.reason,
        )  # fmt: skip
        watch.rx, watch.tx = rx, tx
        return found

    def ended(self, connection: "Connection", outcome: int) -> None:
        """Tell of a connection that ends: of its tunnel, or of itself where it spoke no HTTP."""
        if outcome in AT_ENTRANCE and (self.refusals is None or not self.refusals.has_line(outcome)):
            return
        watch = connection.watch or Watch()
        now = connection.worker.reactor.clock()
        if watch.tunnel:
            self._tell(connection, watch, watch.tunnel, now - watch.asked)
        elif not watch.http and self._json:
            word = unpack(outcome)
            answered = self._answered(connection, watch, 0, now - connection.worker.words[connection.row + STARTED])
            told = word.ended_by.name.lower(), word.phase.name.lower(), word.reason or ""
            self.file.add(json_connection(_whose(connection), answered, *told))


def _whose(connection: "Connection") -> Who:
    """Return whose lines those of a connection are."""
    peer = ""
    if connection.proxied is not None:
        try:
            peer = unmap(connection.client.sock.getpeername()[0])
        except (OSError, IndexError):
            peer = ""
    secure = connection.secure
    return who_is(connection.host, peer, connection.listener.plan.name, "" if secure is None else secure.version)


def _targets(routes: Iterable[RoutePlan]) -> Iterable[tuple[int, str]]:
    for route in routes:
        for target in route.targets:
            yield target.id, str(target)
