"""Another configuration, one at a time, and nothing changed by one that has a mistake."""

import asyncio
import socket
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from penstock.base.errors import ConfigurationError
from penstock.config.layered import WrittenView
from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.config.tls_plan import CertificatePlan, TlsPlan
from penstock.node.reload import (
    NEW_LISTENERS,
    NOTHING,
    ReloadError,
    Reloads,
    UnknownTableError,
    bound,
    fingerprints,
    supply_for,
)
from penstock.node.sockets import open_listeners

from .conftest import KeptLog


def listener(name, port=0, number=1, targets=(1,)):
    """Return a listener on loopback that sends to these ports."""
    aims = tuple(TargetPlan(id=each, host="h", port=each) for each in targets)
    route = RoutePlan(id=1, name="default", targets=aims)
    return ListenerPlan(id=number, name=name, protocol="tcp", host="127.0.0.1", port=port, route=route)


def plan_of(*listeners):
    """Return a plan of these listeners, numbered from 1."""
    numbered = tuple(replace(each, id=number) for number, each in enumerate(listeners, 1))
    return NodePlan(name="n", workers=1, admin=None, socket_path="/s", worker=WorkerPlan(listeners=numbered))


@contextmanager
def opened(plan):
    """Open the listeners of a plan for as long as the block lasts."""
    found = open_listeners(plan.worker.listeners, 1)
    try:
        yield found
    finally:
        for each in found:
            each.close()


class Fixed:
    """A configuration that makes one plan, and another with changes; its route `app` is written."""

    def __init__(self, plan, changed=None):
        self.written, self.made = plan, changed or plan

    def plan(self, changes=NOTHING):
        """Return one of the two."""
        return self.made if changes.tables else self.written

    def table(self, section, name):
        """Return the only table that there is."""
        return {"name": "app", "priority": 1} if (section, name) == ("route", "app") else None

    def views(self, section, changes):
        """Return names alone."""
        names = {"app"} if section == "route" else set()
        for (kind, name), table in changes.tables.items():
            if kind == section:
                names = names - {name} if table is None else names | {name}
        return [WrittenView(name, {}, (section, name) in changes.tables) for name in sorted(names)]


class Served:
    """Stands in for a node: keeps what it takes."""

    def __init__(self, listeners, why="", refused=()):
        self.listeners, self.why, self.refused, self.taken = listeners, why, refused, []
        self.mistake = ""

    def refuses_reload(self):
        """Return why not."""
        return self.why

    def read_files(self, plan):
        """Find a mistake in a file, if there shall be one."""
        if self.mistake:
            raise ConfigurationError([self.mistake])

    async def take(self, plan, supply):
        """Keep it."""
        self.taken.append((plan, supply))
        self.listeners = supply.listeners
        for each in supply.gone:
            each.close()
        return list(self.refused)


def test_sockets_stay_where_addresses_stay():
    """A listener with another route or another name keeps its sockets; a new one is opened, an old one let go."""
    with opened(plan_of(listener("a"), listener("b"), listener("c"))) as before:
        old = plan_of(listener("a"), listener("b"), listener("c"))
        new = plan_of(
            listener("a", targets=(7,)), replace(listener("renamed"), port=before[1].plan.port), listener("d")
        )
        new = replace(new, worker=replace(new.worker, listeners=(new.worker.listeners[0], *renumbered(new, 1, 8, 9))))
        supply = supply_for(new, old, before)
        try:
            assert [each.plan.name for each in supply.listeners] == ["a", "renamed", "d"]
            assert [each.plan.name for each in supply.new] == ["renamed", "d"]
            assert [each.plan.name for each in supply.opened] == ["d"]
            assert [each.plan.name for each in supply.gone] == ["c"]
            assert supply.listeners[0].sockets is before[0].sockets
            assert supply.listeners[1].sockets is before[1].sockets
            assert supply.listeners[0].plan.port == before[0].plan.port
            assert supply.listeners[0].plan.targets[0].port == 7
        finally:
            supply.opened[0].close()


def renumbered(plan, first, *numbers):
    """Return the listeners of a plan from one on with these numbers."""
    return tuple(replace(each, id=number) for each, number in zip(plan.worker.listeners[first:], numbers, strict=True))


def test_a_listener_that_moves_has_new_sockets():
    """Another address under the same name: the new socket is open, the old one is let go."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    old = plan_of(listener("a"))
    with opened(old) as before:
        supply = supply_for(plan_of(listener("a", port)), old, before)
        try:
            assert (supply.new, supply.opened, supply.gone) == (supply.listeners, supply.listeners, before)
            assert supply.listeners[0].plan.port == port
        finally:
            supply.listeners[0].close()


def test_a_busy_port_opens_nothing():
    """One port in use: refused as a mistake, and the ports before it in the plan are free again."""
    old = plan_of(listener("a"))
    with opened(old) as before, socket.create_server(("127.0.0.1", 0)) as busy:
        new = plan_of(listener("a"), listener("b"), listener("c", busy.getsockname()[1]))
        with pytest.raises(ConfigurationError, match="is in use"):
            supply_for(new, old, before)
        many = plan_of(*(listener(f"l{number}") for number in range(NEW_LISTENERS + 2)))
        with pytest.raises(ConfigurationError, match="at most"):
            supply_for(many, old, before)


def test_what_differs_is_served_under_numbers_that_stay():
    """A listener that comes first in the file does not get the number of the one that was first."""
    old = plan_of(listener("a"))
    with opened(old) as sockets:
        node, kept = Served(sockets), KeptLog()
        reloads = Reloads(node, old, lambda: Fixed(plan_of(listener("b"), listener("a"))), kept.log)
        dry = asyncio.run(reloads.reload(dry_run=True))
        assert (dry.applied, node.taken) == (False, [])
        found = asyncio.run(reloads.reload())
        try:
            assert found.changes == dry.changes
            plan, supply = node.taken[0]
            assert [(each.name, each.id) for each in plan.worker.listeners] == [("b", 2), ("a", 1)]
            assert [each.plan.name for each in supply.new] == ["b"]
            assert "listener b added" in kept.events("reloaded")[0]["changes"]
            assert asyncio.run(reloads.reload()).changes == ()
        finally:
            node.listeners[0].close()


@pytest.mark.parametrize("kind", ["mistake", "certificate", "port"])
def test_a_mistake_changes_nothing(kind):
    """What the file, a certificate or a port has against it is told, and nothing is taken."""
    tls = TlsPlan(certificates=(CertificatePlan(cert="gone.pem", key="gone.pem"),))
    old = plan_of(listener("a"))
    with opened(old) as sockets, socket.create_server(("127.0.0.1", 0)) as busy:

        def read():
            if kind == "mistake":
                raise ConfigurationError(["x: one", "y: two"])
            if kind == "certificate":
                return Fixed(plan_of(replace(listener("a"), tls=tls)))
            return Fixed(plan_of(listener("a"), listener("b", busy.getsockname()[1])))

        node, kept = Served(sockets), KeptLog()
        with pytest.raises(ConfigurationError) as caught:
            asyncio.run(Reloads(node, old, read, kept.log).reload())
        assert node.taken == []
        assert kept.events("not reloaded, all goes on as before")[0]["mistakes"] == caught.value.mistakes


def test_what_cannot_be_reloaded_says_so():
    """A node without a file, and one that drains."""
    old = plan_of()
    with pytest.raises(ReloadError, match="nothing to reload"):
        asyncio.run(Reloads(Served(()), old, None, KeptLog().log).reload())
    with pytest.raises(ReloadError, match="it drains"):
        asyncio.run(Reloads(Served((), why="it drains"), old, lambda: Fixed(old), KeptLog().log).reload())


def test_one_reload_at_a_time():
    """A second order waits until the first is over, and then reads the file anew."""
    old, at_once, reads = plan_of(), [], []

    class Slow(Served):
        async def take(self, plan, supply):
            at_once.append(len(reads) - len(self.taken))
            for _ in range(100):
                await asyncio.sleep(0)
            return await super().take(plan, supply)

    def read():
        reads.append(1)
        return Fixed(old)

    async def go():
        reloads = Reloads(Slow(()), old, read, KeptLog().log)
        await asyncio.gather(*(reloads.reload() for _ in range(4)))

    asyncio.run(go())
    assert at_once == [1, 1, 1, 1]


def test_workers_that_refuse_are_told():
    """Who could not take the plan is in the answer and in the log."""
    old, kept = plan_of(), KeptLog()
    found = asyncio.run(Reloads(Served((), refused=["worker 0: full"]), old, lambda: Fixed(old), kept.log).reload())
    assert found.refused == ("worker 0: full",)
    assert [each["detail"] for each in kept.events() if "drains" in each["event"]] == ["worker 0: full"]


def test_fingerprints_know_the_content(tmp_path):
    """The same path with other content differs; a file that is not there has none."""
    path = tmp_path / "a.pem"
    path.write_text("one")
    before = fingerprints([str(path), "gone.pem"])
    path.write_text("two")
    assert before.keys() == {str(path)}
    assert fingerprints([str(path)]) != before


def test_a_bound_plan_knows_its_own_addresses():
    """Real ports in the listeners, and all of them, the admin door's too, are not to be dialed."""
    plan = plan_of(listener("a"))
    with opened(plan) as sockets:
        found = bound(plan, sockets, ("127.0.0.1", 9))
        port = sockets[0].plan.port
        assert found.worker.listeners[0].port == port
        assert set(found.worker.own_addresses) == {("127.0.0.1", port), ("127.0.0.1", 9)}
        assert found.admin == ("127.0.0.1", 9)


def test_a_table_changes_until_the_file_is_read_again():
    """Added, changed and removed tables are served at once and known; a reload undoes them and says which."""
    old, new = plan_of(listener("a")), plan_of(listener("a"), listener("b", number=2, targets=(1,)))
    kept = KeptLog()

    async def go(node):
        reloads = Reloads(node, old, lambda: Fixed(old, new), kept.log, Fixed(old, new))
        dry = await reloads.change("listener", "b", {"listen": ":1"}, dry_run=True)
        assert (dry.applied, [str(each) for each in dry.changes]) == (False, ["listener b added"])
        assert (node.taken, reloads.changed()) == ([], ())
        assert (await reloads.change("listener", "b", {"listen": ":1"})).applied
        await reloads.change("route", "app", {"priority": 2})
        assert [str(each) for each in reloads.changed()] == ["listener b added", "route app changed"]
        assert [(each.name, each.runtime) for each in reloads.tables("route")] == [("app", True)]
        await reloads.change("route", "app", None)
        assert [str(each) for each in reloads.changed()] == ["listener b added", "route app removed"]
        with pytest.raises(UnknownTableError, match="no route is called 'app'"):
            await reloads.change("route", "app", None)
        await reloads.change("route", "app", {"priority": 1})
        assert [str(each) for each in reloads.changed()] == ["listener b added"]  # the other is as it is written
        assert [str(each) for each in (await reloads.reload(dry_run=True)).undone] == ["listener b added"]
        found = await reloads.reload()
        assert [str(each) for each in found.changes] == ["listener b removed"]
        assert reloads.changed() == ()
        assert (await reloads.reload()).undone == ()

    with opened(old) as sockets:
        asyncio.run(go(Served(sockets)))
    (told,) = kept.events("changes at runtime are undone: the file wins")
    assert told["changes"] == ["listener b added"]
    assert len(kept.events("changed at runtime")) == 4


def test_a_mistake_at_runtime_changes_nothing():
    """What the whole configuration would have against it is raised, and nothing is taken or remembered."""
    old = plan_of()

    class Wrong(Fixed):
        def plan(self, changes=NOTHING):
            raise ConfigurationError(["x: one"])

    async def go():
        node = Served(())
        reloads = Reloads(node, old, None, KeptLog().log, Wrong(old))
        with pytest.raises(ConfigurationError):
            await reloads.change("route", "app", {"priority": 2})
        assert (node.taken, reloads.changed()) == ([], ())
        none = Reloads(node, old, None, KeptLog().log)
        assert none.changed() == ()
        with pytest.raises(ReloadError, match="without a configuration"):
            none.tables("route")
        with pytest.raises(ReloadError, match="it drains"):
            await Reloads(Served((), why="it drains"), old, None, KeptLog().log, Fixed(old)).change("route", "a", None)

    asyncio.run(go())


def test_a_new_certificate_is_taken_as_by_a_reload():
    """The same plan, from the same sockets; a node on its way out takes none."""
    plan = plan_of(listener("a"), listener("b"))
    with opened(plan) as listeners:
        node, kept = Served(listeners, refused=["worker 0: no"]), KeptLog()
        reloads = Reloads(node, plan, None, kept.log)
        asyncio.run(reloads.refresh())
        ((taken, supply),) = node.taken
        assert taken == plan
        assert (supply.new, supply.gone) == ((), ())
        assert [each.sockets for each in supply.listeners] == [each.sockets for each in listeners]
        assert kept.events("a worker did not take the new certificate: it drains")[0]["detail"] == "worker 0: no"
        node.why = "the node is draining"
        asyncio.run(reloads.refresh())
        assert len(node.taken) == 1
