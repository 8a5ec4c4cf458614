"""
A worker as the supervisor sees one, and nothing more: it accepts, says who it is, counts, and obeys or does not.

Each client is sent the worker's process id in a line, and is held until it closes.
"""

import argparse
import os
import selectors
import signal
import socket
import time
from contextlib import suppress

import msgspec

from penstock.base.addresses import pack_ip
from penstock.base.outcomes import COMPLETE
from penstock.config.plan import WorkerPlan
from penstock.dataplane import orders
from penstock.metrics.ledger import CLIENT_TX, STATE, Ledger, pack_scope


class FakeWorker:
    """A worker with the given vice: none, mute (never ready), stubborn (obeys nothing), or frail (dies when asked)."""

    def __init__(self, plan, ledger_fd, control, listeners, vice="none"):
        self.plan, self.control, self.vice = plan, control, vice
        self.ledger = Ledger(ledger_fd, plan.ledger_rows, os.getpid())
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ, self.obey)
        self.listeners = {number: socket.socket(fileno=fd) for number, fd in listeners.items()}
        self.clients = {}
        self.deadline = None
        self.ending = False
        for number, sock in self.listeners.items():
            self.selector.register(sock, selectors.EVENT_READ, lambda s, n=number: self.accept(s, n))

    def run(self):
        """Serve until told to end."""
        if self.vice != "mute":
            self.report(orders.Ready(os.getpid()))
        self.report(orders.Notice("warning", "hello", "fake"))
        while not self.ending:
            for key, _ in self.selector.select(0.05):
                key.data(key.fileobj)
            if self.deadline is not None and (not self.clients or time.monotonic_ns() >= self.deadline):
                self.report(orders.Drained())
                self.ending = True
        for client in list(self.clients):
            self.close(client)
        self.ledger.close()

    def report(self, report):
        """Tell the supervisor, if it still listens."""
        with suppress(OSError):
            self.control.send(orders.serialize(report))

    def accept(self, sock, number):
        """Greet a client."""
        try:
            client, (host, port) = sock.accept()
        except BlockingIOError:
            return
        row = self.ledger.open(time.monotonic_ns(), pack_scope(number), pack_ip(host), port)
        self.clients[client] = row
        greeting = b"%d\n" % os.getpid()
        self.ledger.words[row + CLIENT_TX] += len(greeting)  # first: who has read it may kill us
        client.send(greeting)
        self.selector.register(client, selectors.EVENT_READ, self.hear)

    def hear(self, client):
        """Close when the client does; die of the word `die` if frail."""
        said = client.recv(100)
        if self.vice == "frail" and said == b"die":
            os._exit(3)
        if not said:
            self.close(client)

    def close(self, client):
        """End one connection."""
        self.selector.unregister(client)
        self.ledger.end(self.clients.pop(client), time.monotonic_ns(), COMPLETE.pack())
        client.close()

    def obey(self, control):
        """Do what the supervisor says, unless stubborn."""
        packet, fds = orders.receive(control)
        self.gifts = fds
        if not packet:
            self.ending = True
        elif self.vice == "stubborn":
            return
        else:
            self.follow(orders.parse_order(packet))

    def follow(self, order):
        """Carry out one order."""
        if isinstance(order, orders.Stop):
            self.ending = True
        elif isinstance(order, orders.Drain):
            self.deadline = order.deadline_ns
            for sock in self.listeners.values():
                self.selector.unregister(sock)
                sock.close()
        elif isinstance(order, orders.NewBans):
            self.report(orders.Notice("info", "new bans", f"place {order.place}, {len(self.gifts)} descriptors"))
        else:
            found = [c for c, row in self.clients.items() if self.ledger.words[row + STATE] >> 2 == order.serial]
            for client in found:
                self.close(client)
            self.report(orders.Closed(order.serial, bool(found)))


def serve(plan, ledger_fd, control, listeners, number, board=-1, limits=-1, bans=()):
    """Run a fake worker in this thread."""
    FakeWorker(plan, ledger_fd, control, listeners).run()


def main():
    """Run a fake worker process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("vice", choices=["none", "mute", "stubborn", "frail", "stillborn"])
    for name in ("plan", "ledger", "control", "number"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--listeners", required=True)
    parser.add_argument("--board", type=int, default=-1)
    parser.add_argument("--limits", default="")
    parser.add_argument("--bans", default="")
    given = parser.parse_args()
    if given.vice == "stillborn":
        raise SystemExit(3)
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with os.fdopen(given.plan, "rb") as file:
        plan = msgspec.json.decode(file.read(), type=WorkerPlan)
    listeners = dict(map(int, pair.split("=")) for pair in given.listeners.split(",") if pair)
    FakeWorker(plan, given.ledger, socket.socket(fileno=given.control), listeners, given.vice).run()


if __name__ == "__main__":
    main()
