"""The care for certificates: got, renewed by the clock, and tried again later and later."""

import asyncio
import threading
from pathlib import Path

import pytest

from penstock.base.clock import NS
from penstock.config.tls_plan import AcmePlan, CertificatePlan
from penstock.dataplane.challenges import NOTHING, Pending
from penstock.node.acme.client import IssueError
from penstock.node.acme.renewals import Renewals, in_thread
from penstock.node.acme.storage import prepare, read
from penstock.policy.renewal import DAY
from penstock.testing.certificates import Authority
from penstock.testing.clock import ManualClock

from ..conftest import KeptLog, until  # noqa: TID252 - tests are in no package that is installed


class Server:
    """Issues what it is asked for, or says why not."""

    def __init__(self, folder):
        self.authority, self.errands, self.wrong, self.posted = Authority(folder), [], None, []

    def __call__(self, errand):
        """Issue."""
        self.errands.append(errand)
        errand.post(Pending(tokens={"t": "t.thumb"}))
        if self.wrong is not None:
            raise self.wrong
        pair = self.authority.issue(*errand.certificate.names)
        return Path(pair.key).read_bytes() + Path(pair.cert).read_bytes()


class Care:
    """Renewals with a server, a clock and a log of their own."""

    def __init__(self, folder, names=(("a.example.com",),)):
        self.folder, self.deployed, self.posted = folder, 0, []
        (folder / "issued").mkdir(exist_ok=True)
        self.server, self.kept, self.clock = Server(folder / "issued"), KeptLog(), ManualClock()
        self.plan = self.plan_of(*names)
        prepare(self.plan, self.now)
        self.renewals = Renewals(
            self.plan, self.clock, self.kept.log, self.posted.append, self.deploy, issue=self.server, chance=lambda: 0.0
        )

    @property
    def now(self):
        """The time; unit s since the epoch."""
        return self.clock.wall_ns() // NS

    def plan_of(self, *names, directory="https://acme.example/dir"):
        """Return a plan of these certificates."""
        storage = self.folder / "acme"
        files = [str(storage / f"{each[0]}.pem") for each in names]
        certificates = tuple(CertificatePlan(cert=f, key=f, names=n) for f, n in zip(files, names, strict=True))
        return AcmePlan(directory=directory, storage=str(storage), certificates=certificates)

    async def deploy(self):
        """Count."""
        self.deployed += 1

    async def __aenter__(self):
        self.renewals.start()
        return self

    async def __aexit__(self, *_):
        await self.renewals.stop()

    async def fails(self, wrong):
        """Let the server answer with an error from now on, and wait until a failure is told."""
        self.server.wrong = wrong
        await until(lambda: self.kept.events("certificate not issued"))

    def move(self, seconds):
        """Let time go by, and let the care look at the clock."""
        self.clock.advance(seconds)
        self.renewals.replan(self.plan)


def care(scenario, folder, **more):
    """Play a scenario."""

    async def play():
        async with Care(folder, **more) as cared:
            await scenario(cared)

    asyncio.run(play())


def test_what_is_missing_is_got_at_once(tmp_path):
    """All of it, one after the other; workers are told of each, and no challenge stays posted."""

    async def scenario(cared):
        assert [each.state for each in cared.renewals.views()] == ["pending", "pending"]
        await until(lambda: cared.deployed == 2)
        assert [each.state for each in cared.renewals.views()] == ["valid", "valid"]
        assert [each.certificate for each in cared.server.errands] == list(cared.plan.certificates)
        assert cared.posted[-1] == NOTHING
        await until(lambda: len(cared.kept.events("certificate issued")) == 2)
        assert len(cared.kept.events()) == 6

    care(scenario, tmp_path, names=(("a.example.com",), ("b.example.com", "c.example.com")))


def test_what_is_there_is_left_alone(tmp_path):
    """A node that starts again asks nobody, until the day of renewal; then it does."""
    care(lambda cared: until(lambda: cared.deployed == 1), tmp_path)

    async def scenario(cared):
        (view,) = cared.renewals.views()
        assert view.state == "valid"
        stored = read(Path(view.file))
        left = stored.not_after - cared.now
        cared.move(left - 30 * DAY - 10)
        assert not cared.server.errands
        cared.move(20)
        await until(lambda: cared.deployed == 1)
        assert len(cared.server.errands) == 1

    care(scenario, tmp_path)


def test_a_failure_is_tried_again_later_and_later(tmp_path):
    """After 4 minutes, then 8; its reason is told and shown, and a success ends it."""

    async def scenario(cared):
        cared.server.wrong = IssueError("caa: CAA forbids it")
        for tries, seconds in ((1, 240), (2, 480)):
            cared.move(0)
            await until(lambda tries=tries: len(cared.kept.events("certificate not issued")) == tries)
            (view,) = cared.renewals.views()
            assert (view.state, view.last_error) == ("pending", "caa: CAA forbids it")
            said = cared.kept.events("certificate not issued")[-1]
            assert (said["next_try_in"], said["failures"]) == (f"{seconds}s", tries)
            cared.move(seconds - 1)
            await asyncio.sleep(0)
            assert len(cared.server.errands) == tries
            cared.move(2)
            await until(lambda tries=tries: len(cared.server.errands) == tries + 1)
        cared.server.wrong = None
        await until(lambda: len(cared.kept.events("certificate not issued")) == 3)
        cared.move(961)
        await until(lambda: cared.deployed == 1)
        (view,) = cared.renewals.views()
        assert (view.state, view.last_error) == ("valid", "")

    care(scenario, tmp_path)


def test_a_server_is_left_alone_as_long_as_it_wants(tmp_path):
    """Retry-After counts where it is longer."""

    async def scenario(cared):
        await cared.fails(IssueError("rateLimited: too many", 7_200.0))
        assert cared.kept.events("certificate not issued")[0]["next_try_in"] == "7200s"

    care(scenario, tmp_path)


@pytest.mark.parametrize("wrong", [RuntimeError("a bug"), OSError("disk full")])
def test_a_fault_ends_one_try(tmp_path, wrong):
    """Whatever goes wrong, ours or the disk's, is told, and the care goes on."""

    async def scenario(cared):
        await cared.fails(wrong)
        assert str(wrong) in cared.kept.events("certificate not issued")[0]["detail"]
        cared.server.wrong = None
        cared.move(241)
        await until(lambda: cared.deployed == 1)

    care(scenario, tmp_path)


def test_one_failure_keeps_no_other_waiting(tmp_path):
    """The next certificate is asked for while the first one waits."""

    async def scenario(cared):
        cared.server.wrong = IssueError("no")
        await until(lambda: len(cared.server.errands) == 2)
        assert [each.certificate for each in cared.server.errands] == list(cared.plan.certificates)

    care(scenario, tmp_path, names=(("a.example.com",), ("b.example.com",)))


def test_another_plan_is_cared_for(tmp_path):
    """A name that comes is asked for; what stays keeps its pause, unless another server is asked."""

    async def scenario(cared):
        await cared.fails(IssueError("no"))
        cared.plan = cared.plan_of(("a.example.com",), ("b.example.com",))
        prepare(cared.plan, cared.now)
        cared.renewals.replan(cared.plan)
        await until(lambda: len(cared.server.errands) == 2)
        assert cared.server.errands[1].certificate.names == ("b.example.com",)
        await until(lambda: len(cared.kept.events("certificate not issued")) == 2)
        cared.renewals.replan(cared.plan_of(("a.example.com",), directory="https://other.example/dir"))
        await until(lambda: len(cared.server.errands) == 3)
        assert cared.server.errands[2].plan.directory == "https://other.example/dir"

    care(scenario, tmp_path)


def test_what_another_node_brought_is_taken(tmp_path):
    """Before a server is asked, the file is looked at again."""

    async def scenario(cared):
        await cared.fails(IssueError("no"))
        pair = cared.server.authority.issue("a.example.com")
        Path(cared.plan.certificates[0].cert).write_bytes(Path(pair.key).read_bytes() + Path(pair.cert).read_bytes())
        cared.move(241)
        await until(lambda: cared.deployed == 1)
        assert len(cared.server.errands) == 1

    care(scenario, tmp_path)


def test_workers_that_refuse_do_not_end_the_care(tmp_path):
    """The certificate is kept all the same."""

    async def scenario(cared):
        async def refuse():
            raise RuntimeError("no")

        cared.renewals._deploy = refuse
        await until(lambda: cared.kept.events("certificate not taken by workers"))
        await until(lambda: cared.kept.events("certificate issued"))

    care(scenario, tmp_path)


def test_who_is_stopped_posts_nothing_more(tmp_path):
    """A thread that goes on after the end reaches nobody."""
    go, posted = threading.Event(), []

    async def scenario():
        cared = Care(tmp_path)
        errands = []

        def wait(errand):
            errands.append(errand)
            go.wait(10)
            errand.post(Pending(tokens={"late": "x"}))
            return b""

        cared.renewals._issue, cared.renewals._post = wait, posted.append
        async with cared:
            await until(lambda: errands)
        go.set()
        return errands[0]

    assert asyncio.run(scenario()).stop.is_set()
    assert posted == [NOTHING]


def test_a_thread_gives_what_it_found():
    """Its result, or its error."""

    async def scenario():
        assert await in_thread(lambda: 5) == 5
        with pytest.raises(KeyError):
            await in_thread(lambda: {}["x"])

    asyncio.run(scenario())
