"""All certificates of a node: the operator's own, and those of ACME, which come and go with reloads."""

import asyncio
import builtins
import os
import subprocess
import sys

import pytest
from msgspec.structs import asdict, replace
from starlette.testclient import TestClient

from penstock.base.errors import StartError
from penstock.config.plan import ListenerPlan, NodePlan, WorkerPlan
from penstock.config.tls_plan import AcmePlan, CertificatePlan, TlsPlan
from penstock.dataplane import board
from penstock.node.acme.storage import Stored
from penstock.node.admin import make_app
from penstock.node.certificates import Certificates, make_ready, view_of
from penstock.testing.certificates import Authority
from penstock.testing.clock import ManualClock
from penstock.testing.standin import SITE, StandIn

from .conftest import KeptLog, until

NOW = 1_700_000_000


@pytest.fixture
def fd():
    """A board."""
    found = board.create()
    yield found
    os.close(found)


def plan_of(tmp_path, *files, names=()):
    """Return a plan with files of the operator's, and a certificate of ACME for each name."""
    storage = tmp_path / "acme"
    got = tuple(
        CertificatePlan(cert=str(storage / f"{n}.pem"), key=str(storage / f"{n}.pem"), names=(n,)) for n in names
    )
    listener = ListenerPlan(
        id=1, name="web", protocol="tls", host="127.0.0.1", port=0, tls=TlsPlan(certificates=(*files, *got))
    )
    acme = AcmePlan(directory="https://127.0.0.1:1/dir", storage=str(storage), certificates=got) if got else AcmePlan()
    return NodePlan(
        name="n", workers=1, admin=None, socket_path="", worker=WorkerPlan(listeners=(listener, listener)), acme=acme
    )


async def deploy():
    """Do nothing."""


def test_files_are_shown(tmp_path, fd):
    """Each once, with who issued it and when it ends; nobody renews them."""
    pair = Authority(tmp_path).issue("a.example.com")
    kept = Certificates(plan_of(tmp_path, pair), ManualClock(), KeptLog().log, fd, deploy)
    (view,) = kept.views()
    assert (view.name, view.source, view.renews_at) == ("a.example.com", "file", None)
    assert "trustme" in view.issuer


def test_acme_comes_and_goes_with_the_plan(tmp_path, fd):
    """A plan that brings it starts the care, one without it ends it; a server that is down is told."""

    async def scenario():
        kept, plan = KeptLog(), plan_of(tmp_path, names=("a.example.com",))
        make_ready(plan.acme, NOW)
        certificates = Certificates(plan_of(tmp_path), ManualClock(), kept.log, fd, deploy)
        certificates.start()
        assert certificates.views() == ()
        certificates.replan(plan)
        await until(lambda: kept.events("certificate not issued"))
        (view,) = certificates.views()
        assert (view.source, view.state) == ("acme", "pending")
        assert "cannot be reached" in view.last_error
        certificates.replan(replace(plan, acme=AcmePlan(), worker=WorkerPlan(listeners=())))
        assert certificates.views() == ()
        await certificates.stop()

    asyncio.run(scenario())


def test_the_extra_is_asked_for(tmp_path, monkeypatch):
    """Without it a node that wants ACME does not start, and says what to install."""
    real = builtins.__import__

    def missing(name, *rest):
        if name == "penstock.node.acme" or name.startswith("acme"):
            raise ImportError("no", name="acme")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(StartError, match=r"pip install 'penstock\[acme\]'"):
        make_ready(plan_of(tmp_path, names=("a.example.com",)).acme, NOW)
    make_ready(AcmePlan(), NOW)


def test_the_door_shows_them():
    """Every field of each; what is asked for besides is refused."""
    node = StandIn()
    node.tick()
    client = TestClient(make_app(node), base_url="http://127.0.0.1:9190")
    told = client.get("/api/v1/certificates").json()
    assert told == {"certificates": [asdict(SITE) | {"names": list(SITE.names)}]}
    assert client.get("/api/v1/certificates?x=1").status_code == 400
    node.close()


def test_states_are_told():
    """What a file holds decides; a self-signed one of the operator's own is his certificate."""
    plan = CertificatePlan(cert="/s/a.pem", key="/s/a.pem", names=("a.example.com",))
    names = frozenset(plan.names)
    issued, own = Stored(names, "CN=ca", 0, 1_000), Stored(names, "", 0, 1_000)
    assert view_of(plan, None, 5, source="acme").state == "pending"
    assert view_of(plan, own, 5, source="acme").state == "pending"
    assert view_of(plan, own, 5, source="file").state == "valid"
    assert view_of(plan, issued, 999, source="acme").not_after == "1970-01-01T00:16:40.000Z"
    assert view_of(plan, issued, 1_000, source="acme").state == "expired"


def test_files_need_no_extra(tmp_path):
    """A node that gets nothing from ACME loads no ACME client: it may not be installed."""
    pair = Authority(tmp_path).issue("a.example.com")
    code = f"""
import sys
from penstock.config.plan import *
from penstock.config.tls_plan import CertificatePlan, TlsPlan
from penstock.dataplane import board
from penstock.node.certificates import Certificates
from penstock.testing.clock import ManualClock
sys.modules["acme"] = sys.modules["josepy"] = sys.modules["requests"] = None
pair = CertificatePlan(cert={pair.cert!r}, key={pair.key!r}, names=("a.example.com",))
listener = ListenerPlan(id=1, name="web", protocol="tls", host="h", port=0, tls=TlsPlan(certificates=(pair,)))
plan = NodePlan(name="n", workers=1, admin=None, socket_path="", worker=WorkerPlan(listeners=(listener,)))
print(Certificates(plan, ManualClock(), None, board.create(), None).views()[0].state)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout == "valid\n"
