"""Logins in their turn: what is right, what it costs, and who waits behind whom."""

import asyncio
import contextlib
import threading

import argon2
import pytest

from penstock.base.clock import NS
from penstock.connection.commands import Verified
from penstock.dataplane.orders import Verify
from penstock.node.users.files import UserFiles
from penstock.node.users.verifier import Verifier, fits
from penstock.policy.turns import UNDER_WAY

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Clock:
    """A clock that stands still."""

    now = 0

    def monotonic_ns(self):
        """Return its time."""
        return self.now

    wall_ns = monotonic_ns


class Desk:
    """A verifier, and what it answered."""

    def __init__(self, path, kept, work=None, threads=1):
        self.path, self.clock = path, Clock()
        self.files = UserFiles(kept.log)
        self.files.look([str(path)])
        self.work = []
        self.answers = []
        self.verifier = Verifier(self.files, self.clock, work=self._work(work or fits), threads=threads)

    def _work(self, work):
        def note(hashed, password):
            self.work.append((hashed, password))
            return work(hashed, password)

        return note

    def ask(self, user, password, client="192.0.2.1", known=None):
        """Ask, and keep the answer as (user, password, answer)."""
        question = Verify(len(self.answers), str(self.path), user, password, client, known)
        self.verifier.ask(question, lambda verified: self.answers.append((user, password, verified)))

    async def answered(self, count):
        """Return the answers once there are so many."""
        async with asyncio.timeout(30):
            while len(self.answers) < count:
                await asyncio.sleep(0)
        return self.answers


class Gate:
    """Work that waits until it is told to go on; then every login is right."""

    def __init__(self):
        self.begun, self.opened = threading.Event(), threading.Event()

    def __call__(self, hashed, password):
        """Wait."""
        self.begun.set()
        return self.opened.wait(30)


@pytest.fixture
def path(tmp_path):
    """A file with two users."""
    found = tmp_path / "users"
    found.write_text("".join(f"{name}:{CHEAP.hash(f'pw-{name}')}\n" for name in ("ann", "bob")))
    return found


@pytest.fixture
def desk(path, kept):
    """Run a function with a verifier within an event loop."""

    def run(function, **more):
        async def go():
            found = Desk(path, kept, **more)
            with contextlib.closing(found.verifier):
                await function(found)

        asyncio.run(go())

    return run


def test_right_wrong_and_unknown(desk, path):
    """A right login is right, all others are wrong; each of them costs one hash of the file."""

    async def go(it):
        for user, password in ((b"ann", b"pw-ann"), (b"bob", b"pw-ann"), (b"eve", b"pw-ann"), (b"\xff", b"x")):
            it.ask(user, password, client=f"192.0.2.{len(it.work) + len(it.answers)}")
            await it.answered(len(it.answers) + 1)
        assert [verified for *_, verified in it.answers] == [Verified.RIGHT, *[Verified.WRONG] * 3]
        hashes = set(path.read_text().replace("ann:", "").replace("bob:", "").split())
        assert len(it.work) == 4
        assert {hashed for hashed, _ in it.work} <= hashes

    desk(go)


def test_the_hash_of_another_user_lets_nobody_in(desk):
    """An unknown user who shows the very password of the hash that is drawn is still unknown."""

    async def go(it):
        for number in range(20):
            it.ask(b"eve%d" % number, b"pw-ann", client=f"192.0.2.{number}")
        assert {verified for *_, verified in await it.answered(20)} == {Verified.WRONG}
        assert len({hashed for hashed, _ in it.work}) == 2

    desk(go, work=lambda hashed, password: True)


def test_a_file_that_cannot_be_read(desk, path):
    """Everybody is wrong, and nothing is computed."""

    async def go(it):
        path.unlink()
        it.files.look([str(path)])
        it.ask(b"ann", b"pw-ann")
        assert it.answers == [(b"ann", b"pw-ann", Verified.WRONG)]
        assert it.work == []

    desk(go)


def test_a_user_who_is_removed_meanwhile(desk, path):
    """A login that was right when its turn came, and is no more when it is done, is wrong."""
    gate = Gate()

    async def go(it):
        it.ask(b"ann", b"pw-ann")
        await asyncio.to_thread(gate.begun.wait, 30)
        path.write_text("")
        it.files.look([str(path)])
        gate.opened.set()
        assert (await it.answered(1))[0][2] is Verified.WRONG

    desk(go, work=gate)


def test_no_memory_is_not_wrong(desk):
    """Where the hash cannot be computed nobody says that the login was wrong, and nobody is slowed."""

    def work(hashed, password):
        raise argon2.exceptions.VerificationError("Memory allocation error")

    async def go(it):
        for _ in range(3):
            it.ask(b"ann", b"pw-ann")
        assert {verified for *_, verified in await it.answered(3)} == {Verified.BUSY}

    desk(go, work=work)


def test_a_flood_of_wrong_logins_delays_nobody_else(desk):
    """Of 64 wrong logins of one address at most those under way are done before the right one of another."""

    async def go(it):
        for number in range(64):
            it.ask(b"ann", b"guess %d" % number)
        it.ask(b"bob", b"pw-bob", client="192.0.2.2")
        answers = await it.answered(UNDER_WAY + 1)
        assert (b"bob", b"pw-bob", Verified.RIGHT) in answers[: UNDER_WAY + 1]
        assert len(it.work) <= UNDER_WAY + 1

    desk(go)


def test_who_failed_is_heard_later(desk, monkeypatch):
    """The login after a failure waits for a timer, right or wrong, and no thread waits with it."""
    delays = []

    async def go(it):
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(
            loop, "call_later", lambda delay, call, *args: (delays.append(delay), loop.call_soon(call, *args))
        )
        for number in range(3):
            it.ask(b"ann", b"guess")
            await it.answered(number + 1)
        it.ask(b"ann", b"pw-ann")
        assert (await it.answered(4))[3][2] is Verified.RIGHT
        assert delays == [0.25, 0.5, 1.0]
        it.clock.now = 300 * NS
        it.ask(b"ann", b"pw-ann")
        await it.answered(5)
        assert len(delays) == 3

    desk(go)


def test_what_is_known_is_told_as_late(desk, monkeypatch):
    """Logins of users of the configuration cost no hash, count as failures, and wait as long as all others."""
    delays = []

    async def go(it):
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(
            loop, "call_later", lambda delay, call, *args: (delays.append(delay), loop.call_soon(call, *args))
        )
        for number, known in enumerate((Verified.RIGHT, Verified.WRONG, Verified.WRONG, Verified.RIGHT), 1):
            it.ask(b"", b"", known=known)
            assert (await it.answered(number))[-1][2] is known
        assert delays == [0.25, 0.5]
        assert not it.work

    desk(go)


def test_what_does_not_fit_is_refused(desk, monkeypatch):
    """An address that failed has few logins in its line, and hears at once that there is no room."""

    async def go(it):
        it.ask(b"ann", b"guess")
        await it.answered(1)
        for _ in range(10):
            it.ask(b"ann", b"guess")
        busy = [verified for *_, verified in it.answers].count(Verified.BUSY)
        assert busy == 10 - 4

    desk(go)


def test_nothing_is_computed_for_who_has_gone(desk):
    """A login whose turn comes when its client's handshake is over costs no hash, and is not called wrong."""
    gate = Gate()

    async def go(it):
        it.ask(b"ann", b"pw-ann")
        await asyncio.to_thread(gate.begun.wait, 30)
        it.ask(b"bob", b"pw-bob", client="192.0.2.2")
        it.clock.now = it.verifier.patience_ns + 1
        gate.opened.set()
        answers = await it.answered(2)
        assert [verified for *_, verified in answers] == [Verified.RIGHT, Verified.BUSY]
        assert len(it.work) == 1

    desk(go, work=gate)


def test_a_verifier_that_is_closed_answers_nobody(desk):
    """What is in its line at the end is forgotten, and no thread is left waiting."""

    async def go(it):
        it.verifier.close()
        it.ask(b"ann", b"pw-ann")
        assert it.answers == []

    desk(go)


def test_fits():
    """A password fits its own hash; what is no hash is told as an error."""
    hashed = CHEAP.hash("pw")
    assert fits(hashed, b"pw")
    assert not fits(hashed, b"pW")
    with pytest.raises(argon2.exceptions.VerificationError):
        fits(hashed[:-4] + "!!!!", b"pw")
