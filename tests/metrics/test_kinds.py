"""Clients, users and destinations together: exact against a naive count, in fixed memory, within a tick's time."""

import gc
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from msgspec.structs import replace

from penstock.base.outcomes import Phase
from penstock.config.plan import MetricsPlan, NodePlan
from penstock.metrics import keyed
from penstock.metrics.audit import Books
from penstock.metrics.collection import begin
from penstock.metrics.fold import LedgerReader
from penstock.metrics.keys import NOBODY, OTHER, SECONDS
from penstock.metrics.kinds import CLIENT, DESTINATION, KINDS, USER, Kinds
from penstock.metrics.ledger import CLIENT_RX
from penstock.metrics.scopes import Scopes
from penstock.testing.pen import Pen
from penstock.testing.standin import EGRESS, PLAN, WEB, StandIn
from penstock.testing.steps import steps

TARGETS = Scopes((WEB, EGRESS)).targets
NAMES = st.sampled_from(["", "-", "other", "ann", "Ann", "bob", "eve", "d\x1b\n", "ü"])
HOSTS = st.sampled_from(["", "A.example:80", "a.example:80", "b.example:1", "[::1]:2", "c.example:80", "d:9"])
IPS = st.sampled_from(["unix:", *(f"192.0.2.{n}" for n in range(1, 7))])
AMOUNT = st.integers(0, 2**40)


def kinds_of(**metrics):
    """Return trackers of a node that is configured so."""
    plan = MetricsPlan(**metrics)
    return Kinds(plan, TARGETS, begin(plan))


class Row:
    """A connection, as somebody would count it who has all the time in the world."""

    def __init__(self, worker: int, base: int, ip: str) -> None:
        self.worker, self.base = worker, base
        self.said = {CLIENT: "-" if ip == "unix:" else ip, USER: "", DESTINATION: ""}
        self.target, self.phase, self.open = "", 0, True
        self.now, self.seen = np.zeros(4, np.int64), False
        self.before = dict.fromkeys(KINDS, np.zeros(4, np.int64))
        self.counted = dict.fromkeys(KINDS, False)

    def key(self, kind: str) -> str:
        """Return the published name of whom it counts for."""
        said = self.said[kind]
        if kind == DESTINATION:
            settled = not self.open or self.phase >= Phase.RELAY
            said = said.lower() or (self.target if settled else "")
        return "".join(c if c.isprintable() else "\ufffd" for c in said) or "-"


class Oracle(RuleBasedStateMachine):
    """Two workers and few places; everything is counted a second time by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = kinds_of(clients=2, users=2, destinations=3)
        self.pens = {1: Pen(32), 2: Pen(32)}
        self.readers = {n: LedgerReader(pen.fd, n) for n, pen in self.pens.items()}
        self.rows: list[Row] = []
        self.at = 1_700_000_000
        self.grown = {kind: [] for kind in KINDS}
        self.node, self.held = np.zeros(4, np.int64), dict.fromkeys(KINDS, np.zeros(4, np.int64))
        self.drained = {kind: np.zeros(4, np.int64) for kind in KINDS}
        self.pictures = self.kinds.pictures()

    @rule(worker=st.sampled_from([0, 1]), ip=IPS)
    def open(self, worker, ip):
        """A client connects."""
        number = sorted(self.pens)[worker]
        base = self.pens[number].open(2, (ip, 4_000), phase=Phase.NEGOTIATE)
        if base:
            row = Row(number, base, ip)
            row.phase = Phase.NEGOTIATE
            self.rows.append(row)

    @rule(data=st.data(), bytes_in=AMOUNT, bytes_out=AMOUNT, requests=st.integers(0, 3))
    def move(self, data, bytes_in, bytes_out, requests):
        """Bytes move."""
        for row in self._any(data):
            self.pens[row.worker].move(row.base, bytes_in, bytes_out, 7, 9, requests)
            row.now = row.now + np.array([0, bytes_in, bytes_out, requests])

    @rule(data=st.data(), user=NAMES, host=HOSTS)
    def describe(self, data, user, host):
        """Somebody logs in, or asks for another host."""
        for row in self._any(data):
            self.pens[row.worker].describe(row.base, host, user)
            row.said |= {USER: user, DESTINATION: host}

    @rule(data=st.data(), number=st.sampled_from([1, 2]), phase=st.sampled_from([Phase.DIAL, Phase.RELAY]))
    def aim(self, data, number, phase):
        """A target is dialed, or serves."""
        for row in self._any(data):
            self.pens[row.worker].aim(row.base, 2, number, max(phase, row.phase))
            row.target, row.phase = TARGETS[number].address, max(phase, row.phase)

    @rule(data=st.data())
    def end(self, data):
        """A client leaves."""
        for row in self._any(data):
            self.pens[row.worker].end(row.base)
            row.open = False

    @rule(data=st.data(), ip=IPS, user=NAMES, host=HOSTS, amount=AMOUNT)
    def visit(self, data, ip, user, host, amount):
        """Somebody comes, moves something, and is gone before the next tick."""
        self.open(data.draw(st.sampled_from([0, 1])), ip)
        row = self.rows[-1] if self.rows else None
        if row is not None and row.open:
            self.pens[row.worker].describe(row.base, host, user)
            row.said |= {USER: user, DESTINATION: host}
            self.pens[row.worker].move(row.base, amount)
            row.now = row.now + np.array([0, amount, 0, 0])
            self.pens[row.worker].end(row.base)
            row.open = False
        self.tick(1)

    def _any(self, data):
        rows = [row for row in self.rows if row.open]
        return [data.draw(st.sampled_from(rows))] if rows else []

    @rule(times=st.integers(1, 4))
    def tick(self, times):
        """Seconds pass."""
        for _ in range(times):
            for number, reader in self.readers.items():
                self.pens[number].ledger.collect()
                self.kinds.add(number, reader.fold())
            self._seal()

    @rule()
    def die(self):
        """A worker dies and has a successor; the dead one's rows end."""
        number = min(self.pens)
        for row in self.rows:
            row.open = row.open and row.worker != number
        self.kinds.add(number, self.readers.pop(number).fold(dead=True))
        self.kinds.forget(number)
        self.pens.pop(number).close()
        successor = max(self.pens) + 1
        self.pens[successor] = Pen(32)
        self.readers[successor] = LedgerReader(self.pens[successor].fd, successor)
        self.tick(1)

    def _seal(self):
        for kind in KINDS:
            self.grown[kind].append(Counter())
        for row in self.rows:
            self._count(row)
        self.rows = [row for row in self.rows if row.open]
        for kind in KINDS:
            held = [row.now + np.array([1, 0, 0, 0]) for row in self.rows if not row.counted[kind]]
            self.held[kind] = sum(held, np.zeros(4, np.int64))
        self.at += 1
        self.kinds.push(self.at, 1.0)
        self.pictures = self.kinds.pictures()
        self._check()

    def _count(self, row):
        first = 0 if row.seen else 1
        self.node = self.node + row.now - row.before[CLIENT] + np.array([first, 0, 0, 0])
        for kind in KINDS:
            key = row.key(kind)
            undecided = kind != CLIENT and row.open and row.phase < Phase.RELAY
            if row.counted[kind] or key != "-" or not undecided:
                new = row.now - row.before[kind] + np.array([0 if row.counted[kind] else 1, 0, 0, 0])
                grown = self.grown[kind][-1]
                grown[key] = grown.get(key, 0) + new
                row.counted[kind], row.before[kind] = True, row.now
        row.seen = True

    def _check(self):
        for kind, picture in self.pictures.items():
            assert picture.totals.sum(axis=1).tolist() == self.node.tolist()
            assert picture.held.tolist() == self.held[kind].tolist()
            assert sum(self.kinds.trackers[kind].sums().values()) == self.node.sum()
            active = Counter(row.key(kind) for row in self.rows)
            assert picture.active.sum() == len(self.rows)
            for place in picture.known():
                name, totals = picture.name(place), picture.totals[:, place]
                assert picture.find(name) == place
                assert picture.active[place] == active[name]
                since = int(picture.since[place])
                sure, all_of_it = (self._sum(kind, name, first) for first in (since + 1, since))
                if place == NOBODY:
                    assert totals.tolist() == (all_of_it + self.held[kind]).tolist()
                else:
                    assert (sure <= totals).all()
                    assert (totals <= all_of_it).all()
            self._check_samples(kind, picture)

    def _check_samples(self, kind, picture):
        moved = sum((sum(grown.values(), np.zeros(4, np.int64)) for grown in self.grown[kind][-5:]), np.zeros(4))
        windows = [picture.window(5, place).sums for place in range(len(picture.keys))]
        shown = [windows[place] for place in (OTHER, *picture.known())]
        assert sum(shown).tolist() == pytest.approx(moved[1:3].tolist(), rel=1e-6)
        assert (picture.rates(5) * min(5, len(self.grown[kind]))).ravel() == pytest.approx(
            np.array(windows).ravel(), rel=1e-6
        )
        graph = picture.history(OTHER, 5).sums.sum(axis=0)
        assert graph.tolist() == pytest.approx(windows[OTHER].tolist(), rel=1e-6)

    def _sum(self, kind, name, first):
        return sum((grown.get(name, 0) for grown in self.grown[kind][first:]), np.zeros(4, np.int64))

    @rule()
    def drain(self):
        """The store asks what has grown: all answers together are the node's totals, but for what is held."""
        for kind, found in self.kinds.drain_minute().items():
            assert len({grown.key for grown in found}) == len(found)
            for grown in found:
                assert min(grown[1:]) >= 0
                self.drained[kind] = self.drained[kind] + np.array(grown[1:])
            connections, requests, bytes_in, bytes_out = self.drained[kind].tolist()
            held = self.held[kind]
            assert [connections, bytes_in, bytes_out, requests] == (self.node - held).tolist()

    def teardown(self):
        """Let go of the ledgers."""
        for pen in self.pens.values():
            pen.close()


Oracle.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Let keys defend their places for three ticks: ten would be beyond a short history."""
    monkeypatch.setattr(keyed, "RECENT", 3)


TestOracle = Oracle.TestCase


def node_of(rows, **metrics):
    """Return a node with so many rows more."""
    plan = NodePlan(name="n", workers=1, admin=None, socket_path="", worker=PLAN.worker, metrics=MetricsPlan(**metrics))
    node, pen = StandIn(plan=plan), Pen(rows=rows)
    node.sampler.attach(2, pen.fd)
    return node, pen


def connect(pen, number):
    """Open a connection of a client, a user and a destination of its own."""
    row = pen.open(2, (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 1), phase=Phase.RELAY)
    pen.describe(row, f"host{number}.example.com:443", f"user{number}")
    return row


def test_a_tick_with_five_thousand_new_of_fifty_thousand():
    """50,000 open connections that all move, 5,000 of new clients, users and destinations: no step for the others."""
    node, pen = node_of(70_000)
    rows = [connect(pen, number) for number in range(50_000)]
    node.tick()
    count = 50_000
    for _ in range(3):
        for row in rows[:5_000]:
            pen.end(row)
        pen.ledger.collect()
        rows = rows[5_000:] + [connect(pen, count + i) for i in range(5_000)]
        count += 5_000
        for row in rows:
            pen.ledger.words[row + CLIENT_RX] += 100
        taken = steps(node.tick)
    totals = node.snapshot().totals
    for picture in node.snapshot().kinds.values():
        assert picture.totals.sum(axis=1)[:2].tolist() == [totals.connections, totals.bytes_in]
        assert picture.active.sum() == 50_000
    assert taken < 45_000
    pen.close()
    node.close()


def test_any_number_of_keys_takes_the_same_memory():
    """200,000 clients, users and destinations in 12 ticks: memory stays where it was, every byte is somewhere."""
    node, pen = node_of(55_000, users=500)
    rows = []
    for second in range(12):
        for row in rows:
            pen.end(row)
        pen.ledger.collect()
        rows = [connect(pen, second * 16_667 + i) for i in range(16_667)]
        for row in rows:
            pen.ledger.words[row + CLIENT_RX] += 10 + second
        node.tick()
        if second == 7:
            tracemalloc.start()  # four ticks, 67,000 keys of each kind: 20 MB, were they kept
    gc.collect()  # other tests may have let the collector wait for long
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    totals = node.snapshot().totals
    assert totals.connections == 12 * 16_667
    for name, picture in node.snapshot().kinds.items():
        assert picture.totals.sum(axis=1)[:2].tolist() == [totals.connections, totals.bytes_in]
        assert picture.active.sum() == totals.active
        assert picture.evicted >= 500
        assert len(picture.known()) <= getattr(node.sampler.registry.plan.metrics, f"{name}s")
    assert grown < 8_000_000
    pen.close()
    node.close()


def test_memory_of_each_kind_is_fixed():
    """1,000 keys of one kind take 2.9 MB, with 60 full trackers under 10 MB; each kind has a ring of its own."""
    kinds = kinds_of()
    each = [tracker.nbytes for tracker in kinds.trackers.values()]
    assert max(each) < 2_900_000
    assert kinds.nbytes == sum(each)


def test_a_kind_without_places_is_off():
    """0 switches a kind off, and `enabled = false` all of them; the others do not notice."""
    kinds = kinds_of(users=0)
    assert set(kinds.pictures()) == {CLIENT, DESTINATION}
    assert kinds_of(enabled=False).pictures() == {}
    assert set(kinds_of(clients=0, destinations=0).pictures()) == {USER}


@pytest.fixture
def scene():
    """One worker, whose rows say what they like."""
    pen = Pen()
    kinds, reader = kinds_of(), LedgerReader(pen.fd, 1)

    def tick(times=1):
        for _ in range(times):
            kinds.add(1, reader.fold())
            kinds.push(1, 1.0)
        return kinds.pictures()

    yield pen, tick
    pen.close()


def totals(picture, name):
    """Return connections, bytes in, bytes out and requests of a key."""
    return picture.totals[:, picture.find(name)].tolist()


def test_a_login_counts_with_what_came_before_it(scene):
    """A connection in its handshake is held; once somebody has logged in it is his, with all its bytes."""
    pen, tick = scene
    row = pen.open(2, phase=Phase.NEGOTIATE)
    pen.move(row, 100, 20)
    users = tick()[USER]
    assert totals(users, "-") == users.held.tolist() == [1, 100, 20, 0]
    pen.describe(row, "a:80", "ann")
    pen.move(row, 1, 2, 0, 0, 1)
    users = tick()[USER]
    assert totals(users, "ann") == [1, 101, 22, 1]
    assert users.find("-") is None
    assert users.active[users.find("ann")] == 1


def test_nobody_is_a_key_of_its_own(scene):
    """Connections of whom no login was asked are `-`, not `other`: that is who has no place."""
    pen, tick = scene
    pen.move(pen.open(2, phase=Phase.RELAY), 5)
    pen.end(pen.open(2, phase=Phase.NEGOTIATE))
    users = tick()[USER]
    assert totals(users, "-") == [2, 5, 0, 0]
    assert totals(users, "other") == [0, 0, 0, 0]
    assert not users.held.any()


def test_another_destination_takes_what_grows_from_then_on(scene):
    """On one connection each destination counts what moved while it was asked for; active moves with it."""
    pen, tick = scene
    row = pen.open(2, phase=Phase.RELAY)
    pen.describe(row, "One.example:80", "")
    pen.move(row, 10)
    tick()
    pen.describe(row, "two.example:80", "")
    pen.move(row, 7)
    found = tick()[DESTINATION]
    assert totals(found, "one.example:80") == [1, 10, 0, 0]
    assert totals(found, "two.example:80") == [0, 7, 0, 0]
    assert [int(found.active[found.find(f"{n}.example:80")]) for n in ("one", "two")] == [0, 1]


def test_a_user_who_is_called_other_is_other(scene):
    """The two reserved names are what they say, whoever else is called so."""
    pen, tick = scene
    for name in ("other", "-", "ann"):
        row = pen.open(2, phase=Phase.RELAY)
        pen.describe(row, "a:1", name)
    users = tick(2)[USER]
    assert [totals(users, name)[0] for name in ("other", "-", "ann")] == [1, 1, 1]
    assert [users.name(place) for place in users.known()] == ["-", "ann"]


def test_a_rate_returns_to_zero(scene):
    """Five minutes after the last byte every window of every key is zero."""
    pen, tick = scene
    row = pen.open(2, phase=Phase.RELAY)
    pen.describe(row, "a:1", "ann")
    pen.move(row, 1_000)
    users = tick()[USER]
    place = users.find("ann")
    assert users.window(10, place).rates()[0] == 1_000
    users = tick()[USER]
    assert (users.window(1, place).rates()[0], users.window(2, place).rates()[0]) == (0, 500)
    users = tick(SECONDS)[USER]
    assert users.window(SECONDS, place).sums.sum() == 0


def test_what_is_switched_on_begins_with_everything_in_other():
    """A kind that is switched on while the node runs knows open connections by name, and `other` counts what was."""
    pen = Pen()
    plan = MetricsPlan()
    kinds, reader, books = Kinds(plan, TARGETS, begin(MetricsPlan(enabled=False))), LedgerReader(pen.fd, 1), Books()

    def tick():
        growth = reader.fold()
        books.add(growth)
        kinds.add(1, growth)
        kinds.push(1, 1.0)
        return kinds.pictures()

    rows = [pen.open(2, (f"192.0.2.{n}", 1), phase=Phase.RELAY) for n in range(3)]
    pen.describe(rows[0], "a:80", "ann")
    pen.move(rows[0], 100)
    assert tick() == {}
    kinds.switch(begin(plan), books.total)
    pen.move(rows[0], 5)
    for kind, name in ((CLIENT, "192.0.2.0"), (USER, "ann"), (DESTINATION, "a:80")):
        picture = tick()[kind]
        assert totals(picture, name) == [0, 5, 0, 0]
        assert totals(picture, "other") == [3, 100, 0, 0]
        assert picture.active[picture.find(name)] == 1
    kinds.switch(begin(replace(plan, users=0)), books.total)
    assert set(tick()) == {CLIENT, DESTINATION}
    pen.move(rows[0], 1)
    kinds.switch(begin(plan), books.total)
    pictures = tick()
    assert totals(pictures[USER], "ann") == [0, 1, 0, 0]
    assert [totals(pictures[DESTINATION], "a:80")[1], pictures[USER].totals[1].sum()] == [6, 106]
    assert kinds.drain_minute()[USER] == [("ann", 0, 0, 1, 0)]
    pen.close()


def test_bytes_are_known_while_they_move_and_once(scene):
    """Every second shows what moved in it, the first chunk once, before the connection has ended and not again then."""
    pen, tick = scene
    row = pen.open(2, phase=Phase.RELAY)
    pen.describe(row, "a:1", "ann")
    shown = []
    for amount in (1_000, 0, 500, 500):
        pen.move(row, amount)
        users = tick()[USER]
        shown.append(users.window(1, users.find("ann")).sums[0])
    pen.end(row)
    users = tick()[USER]
    assert [*shown, users.window(1, users.find("ann")).sums[0]] == [1_000, 0, 500, 500, 0]
    assert totals(users, "ann") == [1, 2_000, 0, 0]


def test_a_key_that_came_late_is_divided_by_the_whole_window(scene):
    """A rate over 60 s is a sixtieth of what moved in them, not a share of the time since the key's first byte."""
    pen, tick = scene
    tick(60)
    row = pen.open(2, phase=Phase.RELAY)
    pen.describe(row, "a:1", "ann")
    pen.move(row, 6_000)
    users = tick()[USER]
    assert users.window(60, users.find("ann")).rates()[0] == 100
    assert users.rates(60)[users.find("ann"), 0] == 100


def test_who_meters_users_is_told_of_all_though_no_kind_is_tracked():
    """Each row says once who its user is, once more to somebody who begins, and a worker that is gone is told of."""

    class Meter:
        def __init__(self):
            self.heard = []

        def add(self, generation, part, told):
            self.heard.append((generation, [told.keys[each] for each in told.each], int(part.volume.sum())))

        def forget(self, generation):
            self.heard.append(generation)

    kinds, pen, meter = kinds_of(enabled=False), Pen(8), Meter()
    reader = LedgerReader(pen.fd, 1)
    base = pen.open(2, ("192.0.2.1", 4_000), phase=Phase.NEGOTIATE)
    pen.describe(base, "a.example:80", "ann")
    pen.move(base, 5, 6, 0, 0, 0)
    kinds.add(1, reader.fold())
    kinds.meter(meter)
    for _ in range(2):
        pen.move(base, 1, 2, 0, 0, 0)
        kinds.add(1, reader.fold())
    kinds.forget(1)
    assert meter.heard == [(1, ["ann"], 3), (1, [], 3), 1]
