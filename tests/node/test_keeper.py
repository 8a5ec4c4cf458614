"""What a node keeps: restored at start, handed to the store while it runs and at its end."""

import asyncio
import contextlib
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.base.errors import StartError
from penstock.config.plan import StorePlan
from penstock.metrics import parts
from penstock.metrics.ledger import CLIENT_RX
from penstock.metrics.record_pages import Archive
from penstock.metrics.registry import Registry
from penstock.node.keeper import Drawers, Keeper
from penstock.store import tables
from penstock.store.checkpoint import Checkpoint
from penstock.store.store import Store, UnreachableError
from penstock.store.writer import Notice
from penstock.testing.clock import ManualClock
from penstock.testing.standin import PLAN, StandIn

from .conftest import KeptLog, until


def counted(amount):
    """Return a node that has moved so much, ticked."""
    node = StandIn()
    node.pen.move(node.pen.open(), amount)
    node.tick()
    return node


def keeper(path, log=None, flush=NS // 100):
    """Return a keeper of a store there."""
    return Keeper(replace(PLAN, store=StorePlan(path=str(path), flush=flush)), (log or KeptLog()).log, ManualClock())


async def total(path, log=None):
    """Return what a node that starts there has counted of bytes already."""
    registry, kept = Registry(PLAN, 0), keeper(path, log)
    await kept.open()
    await kept.restore(registry)
    await kept.close()
    return registry.listeners.whole().bytes_in


def test_what_was_counted_is_kept_at_the_end_and_found_at_the_start(tmp_path):
    """A node that ends well loses nothing."""

    async def play():
        kept, node = keeper(tmp_path / "n.db", flush=3_600 * NS), counted(1_000)
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        await kept.close()
        assert await total(tmp_path / "n.db") == 1_000

    asyncio.run(play())


def test_it_is_kept_while_the_node_runs(tmp_path):
    """After a flush it is in the file, whatever becomes of the node."""

    async def play():
        kept, node = keeper(tmp_path / "n.db"), counted(1_000)
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        await until(lambda: "totals" in kept._store.read(tables.parts))
        kept._flusher.cancel()
        await asyncio.to_thread(kept._store.close)  # without the last checkpoint
        assert await total(tmp_path / "n.db") == 1_000

    asyncio.run(play())


def test_without_a_path_nothing_is_kept(tmp_path):
    """A one-shot node has no file, and everything else works."""

    async def play():
        kept = Keeper(PLAN, KeptLog().log, ManualClock())
        await kept.open()
        await kept.restore(Registry(PLAN, 0))
        kept.run()
        await kept.close()

    asyncio.run(play())


def test_a_store_in_use_is_no_start(tmp_path):
    """A second node on the same file is refused, and leaves the first alone."""

    async def play():
        first, second = keeper(tmp_path / "n.db"), keeper(tmp_path / "n.db")
        await first.open()
        with pytest.raises(StartError, match="in use by process"):
            await second.open()
        await second.close()
        await first.close()

    asyncio.run(play())


def test_a_store_out_of_reach_is_tried_again(tmp_path):
    """A node starts without its disk, says so, and when the disk comes what it holds is added to what was counted."""
    folder, log = tmp_path / "disk", KeptLog()

    async def play():
        ended, node = counted(1_000), counted(20)
        kept = keeper(folder / "n.db")
        await kept.open()
        await kept.restore(ended.sampler.registry)
        kept.run()
        await kept.close()
        folder.rename(tmp_path / "away")
        folder.write_text("no folder")
        kept = keeper(folder / "n.db", log)
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        await until(lambda: log.events("store cannot be reached: nothing is kept for now"))
        folder.unlink()
        (tmp_path / "away").rename(folder)
        await until(lambda: node.sampler.registry.listeners.whole().bytes_in == 1_020)
        await kept.close()
        assert await total(folder / "n.db") == 1_020
        assert len(log.events("store cannot be reached: nothing is kept for now")) == 1

    asyncio.run(play())


def test_a_damaged_part_is_said_and_begins_at_zero(tmp_path):
    """A part that is no part costs its own numbers, a line, and nothing else."""
    log = KeptLog()

    async def play():
        store = Store(tmp_path / "n.db", ManualClock(), print)
        store.open()
        store.submit(Checkpoint(at=1, parts={"totals": b"\xc1", "endings": b""}))
        store.close()
        assert await total(tmp_path / "n.db", log) == 0

    asyncio.run(play())
    (first, second) = log.events("store: a part begins at zero")
    assert first["detail"].startswith("totals: SavedTotals: ")
    assert second["detail"].startswith("endings: SavedEndings: ")


def test_what_the_store_says_is_logged(tmp_path):
    """Damage that the store finds is an error in the node's log."""
    log = KeptLog()

    async def play():
        assert await total(tmp_path / "n.db") == 0
        (tmp_path / "n.db").write_bytes(b"no file of ours")
        assert await total(tmp_path / "n.db", log) == 0

    asyncio.run(play())
    (event,) = log.events()
    assert (event["level"], event["event"]) == ("error", "store was damaged: it was set aside, and a fresh one begun")


# Records --------------------------------------------------------------------------------------------------------------


def ended(count):
    """Return a node in which so many connections have ended, each with its own number of bytes, ticked."""
    node = StandIn()
    for moved in range(1, count + 1):
        row = node.pen.open()
        node.pen.move(row, moved)
        node.pen.end(row)
    node.tick()
    return node


def moved(registry):
    """Return what each record of a registry moved."""
    return registry.records.view(0).read()[:, CLIENT_RX].tolist()


async def found(path, log=None):
    """Return what each record of a node that starts there has moved."""
    registry, kept = Registry(PLAN, 0), keeper(path, log)
    await kept.open()
    await kept.restore(registry)
    await kept.close()
    return moved(registry)


def test_records_are_kept(tmp_path):
    """Ended connections are there after an end, in their order, and new ones stand behind them."""

    async def play():
        for _ in range(2):
            kept, node = keeper(tmp_path / "n.db"), ended(3)
            await kept.open()
            await kept.restore(node.sampler.registry)
            kept.run()
            await kept.close()
        assert await found(tmp_path / "n.db") == [1, 2, 3, 1, 2, 3]

    asyncio.run(play())


def test_a_damaged_page_costs_its_own_records(tmp_path):
    """A page that is none is told and left out; what is in the other pages is shown."""
    log = KeptLog()

    async def play():
        node = ended(40)
        (page,), _ = Archive(node.sampler.registry.records).export()
        store = Store(tmp_path / "n.db", ManualClock(), print)
        store.open()
        store.submit(Checkpoint(at=1, pages=(tables.Page(*page), tables.Page(129, 5, b"nonsense"))))
        store.close()
        assert await found(tmp_path / "n.db", log) == list(range(1, 41))

    asyncio.run(play())
    (event,) = log.events("store: some of the history of connections is left out")
    assert "records from 129 on" in event["detail"]


def test_a_table_that_is_none_costs_the_history(tmp_path):
    """Rows that were never written are told, and totals are restored all the same."""
    log = KeptLog()

    async def play():
        kept, node = keeper(tmp_path / "n.db"), counted(1_000)
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        await kept.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "n.db", isolation_level=None)) as file:
            file.execute("INSERT INTO pages (first, records, body) VALUES (1, 'many', x'00')")
        assert await total(tmp_path / "n.db", log) == 1_000
        assert await found(tmp_path / "n.db") == []

    asyncio.run(play())
    (event,) = log.events("store: a table begins anew")
    assert event["table"] == "history"


def test_records_that_a_damaged_file_took_along_are_written_again(tmp_path):
    """When the store has said that something was lost, the next checkpoint holds all records again."""

    async def play():
        kept, node = keeper(tmp_path / "n.db", flush=3_600 * NS), ended(3)
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        assert len(kept._checkpoint(node.sampler.registry).pages) == 1
        assert kept._checkpoint(node.sampler.registry).pages == ()
        kept._tell(Notice("error", "store was damaged: it was set aside, and a fresh one begun", "x"))
        await kept.close()
        assert await found(tmp_path / "n.db") == [1, 2, 3]

    asyncio.run(play())


def test_graphs_are_drawn_from_the_store(tmp_path):
    """Minutes of a client that memory has forgotten are there; nobody's are not; a damaged table is out of reach."""

    async def play():
        node, kept = StandIn(), keeper(tmp_path / "n.db", flush=3_600 * NS)
        kept._clock = node.clock
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        row = node.pen.open(client=("192.0.2.5", 1))
        for _ in range(130):
            node.pen.move(row, 60)
            node.tick()
        kept._hand_over(kept._store, node.sampler.registry)
        await asyncio.to_thread(kept._store.settle, 10)
        for scope in ("client:192.0.2.5", "node", "listener:web"):
            view = await kept.graph(scope, 600)
            assert (view.step, set(view.series["bytes_in"][1:])) == (60, {60.0})
        hours = await kept.graph("client:192.0.2.5", 90_000)
        moved = sum(rate * covered for rate, covered in zip(hours.series["bytes_in"], hours.covered, strict=True))
        assert (hours.step, round(moved) % 60, round(moved) > 3_600) == (3_600, 0, True)
        assert await kept.graph("client:192.0.2.6", 600) is None
        assert await kept.graph("destination:x:1", 600) is None
        await kept.close()
        with pytest.raises(UnreachableError, match="not open"):
            await kept.graph("node", 600)
        node.close()

    asyncio.run(play())


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a real file, with something in every table."""
    path, node = tmp_path_factory.mktemp("sound") / "n.db", ended(3)

    async def play():
        kept = keeper(path, flush=3_600 * NS)
        kept._clock = node.clock
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        row = node.pen.open(client=("192.0.2.5", 1))
        node.pen.describe(row, "example.com:443", "ann")
        for _ in range(70):
            node.pen.move(row, 60)
            node.tick()
        await kept.close()

    asyncio.run(play())
    return path, node.clock.wall_ns()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_bytes_changed_in_a_real_file_let_a_node_start(sound, tmp_path, data):
    """What is damaged is set aside or begins at zero; a node starts, counts exactly, and keeps what it counts."""
    path, wall_ns = sound
    raw = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(100, len(raw) - 1), min_size=1, max_size=20)):
        raw[place] = data.draw(st.integers(0, 255))
    for each in tmp_path.iterdir():
        each.unlink()
    (tmp_path / "n.db").write_bytes(raw)
    (tmp_path / "n.db.lock").write_bytes(path.with_name("n.db.lock").read_bytes())

    async def play():
        kept, node = keeper(tmp_path / "n.db", flush=3_600 * NS), StandIn()
        kept._clock = ManualClock(wall_ns=wall_ns)
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.run()
        before = node.sampler.registry.listeners.whole().bytes_in
        node.pen.move(node.pen.open(), 7)
        totals = node.tick().totals
        assert totals.bytes_in == before + 7
        assert totals.active == 1
        await kept.close()
        node.close()
        assert await total(tmp_path / "n.db") == totals.bytes_in

    asyncio.run(play())


class Some:
    """Entries of one kind."""

    kinds = ("some",)

    def __init__(self, **entries):
        self.entries, self.waiting, self.found = entries, dict(entries), {}

    def take(self, *, everything=False):
        """Give out what waits, or everything."""
        waiting, self.waiting = (self.entries if everything else self.waiting), {}
        return {("some", key): body for key, body in waiting.items()}

    def restore(self, kept):
        """Keep what was found, and complain."""
        self.found = {each.key: each.body for each in kept["some"]}
        return ["one is odd"] if self.found else []


def test_several_keep_entries_as_one():
    """All that any of them wants written is written, and each gets what was left of its kinds."""

    class Kind:
        def __init__(self, kind):
            self.kinds, self.left = (kind,), None

        def take(self, *, everything=False):
            return {(self.kinds[0], "key"): str(everything)}

        def restore(self, kept):
            self.left = kept.get(self.kinds[0])
            return [self.kinds[0]]

    both = Drawers((Kind("a"), Kind("b")))
    assert both.kinds == ("a", "b")
    assert both.take(everything=True) == {("a", "key"): "True", ("b", "key"): "True"}
    assert both.restore({"b": [1]}) == ["a", "b"]
    assert [each.left for each in both._all] == [None, [1]]


def test_entries_are_kept_at_once_and_found_at_the_start(tmp_path):
    """What somebody relies on does not wait for the next checkpoint, which an hour here never comes."""

    async def play():
        kept, node, log = keeper(tmp_path / "n.db", flush=3_600 * NS), counted(1), KeptLog()
        kept.entries = some = Some(a="1", b="2")
        await kept.open()
        await kept.restore(node.sampler.registry)
        kept.keep_entries()
        await until(lambda: stored(tmp_path / "n.db") == {"a": "1", "b": "2"})
        some.waiting = {"a": None}
        kept.keep_entries()
        await until(lambda: stored(tmp_path / "n.db") == {"b": "2"})
        await kept.close()
        later = keeper(tmp_path / "n.db", log)
        later.entries = Some()
        await later.open()
        await later.restore(Registry(PLAN, 0))
        await later.close()
        assert later.entries.found == {"b": "2"}
        assert log.events("store: an entry is left out")[0]["detail"] == "one is odd"

    asyncio.run(play())


def stored(path):
    """Return the entries in a file."""
    with contextlib.closing(sqlite3.connect(path)) as store:
        return dict(store.execute("SELECT key, body FROM entries"))


def test_without_a_store_entries_are_nobodys():
    """Nothing is asked for, and nothing fails."""

    async def play():
        kept = keeper("")
        kept.entries = some = Some(a="1")
        await kept.open()
        await kept.restore(Registry(PLAN, 0))
        kept.keep_entries()
        await kept.close()
        assert some.waiting == {"a": "1"}

    asyncio.run(play())


@pytest.mark.parametrize("stored", [True, False])
def test_entries_of_an_older_process_are_taken_over(tmp_path, stored):
    """From its store, or where there is none as it has handed them over; what it has removed is gone."""

    async def play():
        path = tmp_path / "n.db" if stored else ""
        elder, node = keeper(path), counted(1)
        elder.entries = some = Some(a="1")
        await elder.open()
        await elder.restore(node.sampler.registry)
        elder.run()
        some.entries = {"b": "2"}
        some.waiting = {"a": None, "b": "2"}
        await elder.close()
        some.entries["c"] = None
        handed = elder.everything()
        assert handed == (("some", "b", "2"),)
        heir = keeper(path)
        heir.entries = Some()
        await heir.open()
        await heir.inherit(Registry(PLAN, 0), parts.Kept(parts.export(node.sampler.registry)), [], handed)
        await heir.close()
        assert heir.entries.found == {"b": "2"}

    asyncio.run(play())
