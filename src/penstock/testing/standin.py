"""A node without processes: a real sampler on ledgers that are written by hand, behind the admin door's protocol."""

import io
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from penstock.config.changes import Section
from penstock.config.changes import Written as Table
from penstock.config.difference import Change
from penstock.config.layered import WrittenView
from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.metrics.audit import AuditView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import Collection
from penstock.metrics.quotas import QuotaFigures, QuotasView
from penstock.metrics.registry import Registry
from penstock.metrics.snapshot import Snapshot, TargetView
from penstock.metrics.view import HistoryView
from penstock.node.bans.desk import Desk
from penstock.node.bans.fills import FillView
from penstock.node.log import make_log
from penstock.node.reload import DrainView, ReloadView
from penstock.node.sampler import Sampler
from penstock.node.upgrade import UpgradeView
from penstock.policy.ban import Network
from penstock.policy.health import TargetOrder
from penstock.testing.clock import ManualClock
from penstock.testing.pen import Pen

WEB = ListenerPlan(
    id=1,
    name="web",
    protocol="tcp",
    host="127.0.0.1",
    port=8001,
    route=RoutePlan(
        id=1,
        name="default",
        targets=(TargetPlan(id=1, host="192.0.2.10", port=80), TargetPlan(id=2, host="2001:db8::2", port=80)),
    ),
)
EGRESS = ListenerPlan(
    id=2, name="egress", protocol="socks5", host="::", port=1080, route=RoutePlan(id=2, name="out")
)  # fmt: skip

SITE = CertificateView(
    name="site.example.com",
    names=("site.example.com", "www.example.com"),
    source="acme",
    file="/nonexistent/site.example.com.pem",
    issuer="CN=Some CA",
    not_after="2031-05-30T00:00:00.000Z",
    not_after_s=1_937_952_000,
    state="valid",
    renews_at="2031-04-30T00:00:00.000Z",
)

PLAN = NodePlan(
    name="edge-1",
    workers=1,
    admin=("127.0.0.1", 0),
    socket_path="/nonexistent/penstock.sock",
    worker=WorkerPlan(listeners=(WEB, EGRESS)),
)


class StandIn:
    """
    Stands in for a node.

    Args:
        admin_token: Demanded on TCP; None for none.
        plan: What it seems to serve.

    Attributes:
        metrics: What of its metrics is shown.
        clock: Moved by hand.
        sampler: A real one.
        pen: The ledger of its one worker, generation 1.
        desk: Who bans; nothing around it is protected.
        closed: Ids that it was told to close.
        cuts: Networks whose clients' connections it was told to end; there seem to be two each time.
        kept: Graphs that its store seems to hold, by scope; or why it cannot be read.
        wanted: What it was told of targets, by route and address.
        drains: How often it was told to drain.
        views: Certificates that it seems to serve.
        reloaded: What a reload seems to need a restart for, or why it fails.
        written: What stands in the configuration, by section and name.
    """

    def __init__(self, admin_token: str | None = None, plan: NodePlan = PLAN) -> None:
        self.admin_token = admin_token
        self.metrics = plan.metrics
        self.clock = ManualClock()
        registry = Registry(plan, self.clock.monotonic_ns())
        self.views = registry.certificates = (SITE,)
        registry.quotas = QuotasView((QuotaFigures("web", 1_000, 10),))
        self.sampler = Sampler(self.clock, registry)
        self.pen = Pen()
        self.sampler.attach(1, self.pen.fd)
        self.sampler.state = "serving"
        self.desk = Desk(plan, self.clock, make_log("error", "json", io.StringIO()), look=list)
        self.sampler.watch, self.desk.cut = self.desk.look, self._cut
        half = FillView(limit="connections_per_ip", used=50, most=100, window=None, exempt=False)
        self.desk.fills = lambda address, now: [half]
        self.closed: list[int] = []
        self.cuts: list[str] = []
        self.drains = 0
        self.reloaded: tuple[str, ...] | Exception = ()
        self.written: dict[tuple[Section, str], Table] = {("listener", "web"): {"name": "web", "listen": ":8001"}}
        self.wanted: dict[tuple[str, str], dict[str, Any]] = {}
        self.kept: dict[str, HistoryView | Exception] = {}

    def tick(self, seconds: float = 1.0) -> Snapshot:
        """Let time pass and sample."""
        self.clock.advance(seconds)
        return self.sampler.tick()

    def drained(self) -> DrainView:
        """Return how far a drain is: half a minute is left of one that was ordered."""
        return DrainView(self.sampler.state, self.snapshot().totals.active, 30.0 if self.drains else None)

    async def reload(self, *, dry_run: bool = False) -> ReloadView:
        """Say that a listener came, or raise what the test has set."""
        if isinstance(self.reloaded, Exception):
            raise self.reloaded
        return ReloadView(not dry_run, (Change("listener", "new", "added"),), self.reloaded)

    async def change(self, section: Section, name: str, table: Table | None, *, dry_run: bool = False) -> ReloadView:
        """Note a table, or raise what the test has set for reloads."""
        if isinstance(self.reloaded, Exception):
            raise self.reloaded
        if not dry_run:
            self.written |= {(section, name): table or {}}
        return ReloadView(not dry_run, (Change(section, name, "changed"),))

    async def upgrade(self) -> UpgradeView:
        """Say that another process serves, or raise what the test has set for reloads."""
        if isinstance(self.reloaded, Exception):
            raise self.reloaded
        return UpgradeView(2, 1)

    def tables(self, section: Section) -> list[WrittenView]:
        """Return what is written, as if all of it but `web` had been at runtime."""
        return [WrittenView(n, dict(table), n != "web") for (kind, n), table in self.written.items() if kind == section]

    def changed(self) -> tuple[Change, ...]:
        """Return what was noted."""
        return tuple(Change(section, name, "changed") for section, name in self.written if name != "web")

    def switch(self, wanted: Mapping[str, bool]) -> Collection:
        """Switch parts of the collection."""
        self.sampler.switch(wanted)
        return self.sampler.registry.collection

    def _cut(self, network: Network) -> int:
        self.cuts.append(network.text)
        return 2

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        return self.sampler.snapshot

    async def audit(self) -> AuditView:
        """Return the sheet of the last tick; there is no kernel to ask."""
        return self.snapshot().audit

    async def kept_graph(self, scope: str, seconds: int) -> HistoryView | None:
        """Answer what `kept` holds for the scope; raise it if it is an error."""
        found = self.kept.get(scope)
        if isinstance(found, Exception):
            raise found
        return found

    def targets(self) -> tuple[TargetView, ...]:
        """Return the targets of the last tick, and what was wanted of them since."""
        found = self.snapshot().targets
        return tuple(replace(each, **self.wanted.get((each.route, each.address), {})) for each in found)

    def certificates(self) -> tuple[CertificateView, ...]:
        """Return what it seems to serve."""
        return self.views

    def order_target(self, route: str, address: str, order: TargetOrder | None, weight: int | None) -> tuple[int, ...]:
        """Note what is wanted."""
        changed = {"state": order, "weight": weight}
        self.wanted[route, address] = {name: value for name, value in changed.items() if value is not None}
        return tuple(each.id for each in self.targets() if (each.route, each.address) == (route, address))

    async def close_connection(self, number: int) -> bool:
        """Note the order; answer whether there is such a connection."""
        self.closed.append(number)
        return self.snapshot().live.locate(number) is not None

    async def drain(self) -> None:
        """Drain."""
        self.drains += 1
        self.sampler.state = "draining"

    def ready(self) -> tuple[bool, str]:
        """Return whether it serves, and why not."""
        state = self.sampler.state
        return state == "serving", "" if state == "serving" else f"the node is {state}"

    def close(self) -> None:
        """Let go of the ledger."""
        self.pen.close()
