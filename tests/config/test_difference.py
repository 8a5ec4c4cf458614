"""What another plan changes, in words."""

from msgspec.structs import replace

from penstock.config.difference import Change, Difference, difference, tls_files, unchanging
from penstock.config.plan import (
    ListenerPlan,
    MatchPlan,
    MetricsPlan,
    NodePlan,
    ParentPlan,
    RoutePlan,
    StorePlan,
    TargetPlan,
    TimeoutPlan,
    WorkerPlan,
)
from penstock.config.tls_plan import CertificatePlan, TargetTlsPlan, TlsPlan

OWN = RoutePlan(id=1, name="default", targets=(TargetPlan(id=1, host="h", port=1), TargetPlan(id=2, host="h", port=2)))
WEB = ListenerPlan(id=1, name="web", protocol="tcp", host="::1", port=80, route=OWN)
APP = RoutePlan(id=2, name="app", match=MatchPlan(domains=("a.b",)))
PLAN = NodePlan(
    name="n", workers=2, admin=None, socket_path="/s", worker=WorkerPlan(listeners=(WEB,), routes=(APP,), workers=2)
)


def told(plan, old_files=None, new_files=None):
    """Return the lines of what this plan changes."""
    found = difference(PLAN, plan, old_files or {}, new_files or {})
    return [str(each) for each in found.changes], found.needs_restart


def serving(*listeners, routes=(APP,), **more):
    """Return the plan with other listeners or routes."""
    return replace(PLAN, worker=replace(PLAN.worker, listeners=listeners, routes=routes, **more))


def test_the_same_plan_changes_nothing():
    """Nothing is told where nothing differs, numbers included."""
    assert difference(PLAN, PLAN, {"a": "1"}, {"a": "1"}) == Difference()
    assert told(serving(replace(WEB, id=9))) == ([], ())


def test_listeners_routes_and_targets_are_told():
    """What came, what went, and which keys changed; an address is called as it is written."""
    moved = replace(WEB, port=81, protocol="http", users={"u": "secret"})
    route = replace(
        OWN, targets=(replace(OWN.targets[0], weight=3, send_proxy="v2"), TargetPlan(id=3, host="h", port=3))
    )
    extra = replace(WEB, id=2, name="extra", route=route)
    app = replace(APP, match=MatchPlan(), status=404)
    lines, _ = told(serving(replace(moved, route=route), extra, routes=(app, replace(APP, id=3, name="new"))))
    assert lines == [
        "listener web changed: protocol, listen, users",
        "listener extra added",
        "route app changed: match, status",
        "route new added",
        "target default h:2 removed",
        "target default h:1 changed: weight, send_proxy",
        "target default h:3 added",
    ]
    lines, _ = told(serving(routes=()))
    assert lines == [
        "listener web removed",
        "route default removed",
        "route app removed",
        "target default h:1 removed",
        "target default h:2 removed",
    ]


def test_deadlines_limits_and_certificates_are_told():
    """Timeouts by key, the limit, and files that hold something else than before."""
    plan = serving(WEB, timeouts=TimeoutPlan(idle=1, drain=2), connections=5)
    lines, _ = told(plan, {"a.pem": "1", "b.pem": "1"}, {"a.pem": "2", "b.pem": "1", "c.pem": "1"})
    assert lines == ["timeouts changed: idle, drain", "certificate a.pem changed", "limits changed: connections"]


def test_what_needs_a_restart_is_told_and_kept():
    """Workers, paths, the admin door, sizes of metrics and the store: told by their keys, and as before in the plan."""
    plan = replace(
        serving(WEB, timeouts=TimeoutPlan(pool_idle=1, idle=7), splice="never", workers=4),
        workers=4,
        admin=("::1", 1),
        state_dir="/x",
        metrics=MetricsPlan(seconds=7),
        store=StorePlan(path="/y"),
    )
    _, restart = told(plan)
    assert restart == (
        "node.workers", "node.admin", "node.state_dir", "node.splice", "metrics.seconds", "store.path",
        "timeouts.pool_idle",
    )  # fmt: skip
    kept = unchanging(PLAN, plan)
    assert kept == serving(WEB, timeouts=TimeoutPlan(idle=7))


def test_every_file_that_workers_read_is_known():
    """Certificates, keys and issuers, of listeners, targets and parents."""
    tls = TlsPlan(certificates=(CertificatePlan(cert="c", key="k"),), client_ca="ca")
    parent = ParentPlan(kind="https", host="h", port=1, tls=TargetTlsPlan(ca="pca"))
    route = replace(APP, target_tls=TargetTlsPlan(ca="tca", cert="tc", key="tk"), parent=parent)
    assert tls_files(serving(replace(WEB, tls=tls), routes=(route,)).worker) == {
        "c", "k", "ca", "pca", "tca", "tc", "tk",
    }  # fmt: skip


def test_a_change_reads_as_a_line():
    """Kind, name, what, and the keys."""
    assert str(Change("listener", "web", "added")) == "listener web added"
