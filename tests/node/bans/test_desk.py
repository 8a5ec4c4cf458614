"""Tests of `penstock.node.bans.desk`."""

import pytest
from msgspec.structs import replace

from penstock.base.addresses import pack_ip
from penstock.base.errors import ConfigurationError
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.dataplane.bans import BY_HAND, LISTED, Bans
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import PORT, WRONG_LOGINS_SHIFT
from penstock.node.bans import desk as desks
from penstock.node.bans.views import BanError, WantedBan
from penstock.policy.protection import Guarded
from penstock.testing.pen import Pen

from .conftest import BANS

AUTH = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)


def refuses(kept, host):
    """Return whether a worker that begins now would refuse a host."""
    bans = Bans(kept.desk.fds, kept.clock.wall_ns)
    try:
        return bans.holds(pack_ip(host))
    finally:
        bans.close()


def ban(kept, address, asker="", **more):
    """Ban by hand."""
    return kept.desk.ban(WantedBan(address=address, **more), asker)


@pytest.fixture
def pen():
    """A ledger whose growth a desk looks at."""
    found = Pen(rows=512)
    found.reader = LedgerReader(found.fd, 1)
    yield found
    found.close()


def write_failures(pen, host, times=3):
    """Let a client fail so many logins."""
    for _ in range(times):
        row = pen.open(1, (host, 1))
        pen.ledger.words[row + PORT] += 1 << WRONG_LOGINS_SHIFT
        pen.end(row, AUTH)


def fail(kept, pen, host, times=3):
    """Let a client fail so many logins, and the desk see it."""
    write_failures(pen, host, times)
    kept.desk.look(pen.reader.fold())
    return kept.tick()


def flood(kept, pen, clients):
    """Let so many clients fail at once, and the desk see it before its tick."""
    for number in range(clients):
        write_failures(pen, f"192.0.2.{number}")
    kept.desk.look(pen.reader.fold())


@pytest.mark.parametrize(
    ("address", "inside", "outside"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.0/24", "192.0.2.200", "192.0.3.0"),
        ("2001:db8::7", "2001:db8::7", "2001:db8::8"),
        ("2001:db8:1::/64", "2001:db8:1::8", "2001:db8:1:1::"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
    ],
)
def test_a_ban_holds_at_once_and_until_its_end(kept, address, inside, outside):
    """For what it names and nothing else; it is over by itself."""
    view = ban(kept, address, length="10s", reason="test")
    assert (view.network, view.origin, view.seconds_left) == (address, "manual", 10.0)
    assert (refuses(kept, inside), refuses(kept, outside)) == (True, False)
    kept.tick(9)
    assert refuses(kept, inside)
    kept.tick(1)
    assert not refuses(kept, inside)
    assert len(kept.events("ban is over")) == 1
    assert kept.desk.get(address) is None


def test_a_ban_without_an_end_stays(kept):
    """For good."""
    assert ban(kept, "192.0.2.7").until is None
    kept.tick(10**8)
    assert refuses(kept, "192.0.2.7")


def test_lifting_counts_at_once_and_gives_room_back(kept):
    """For addresses and networks; what is not banned is nothing that could be lifted."""
    for address in ("192.0.2.7", "198.51.100.0/24", "2001:db8::/64"):
        ban(kept, address)
        assert kept.desk.unban(address).network == address
        assert kept.desk.unban(address) is None
    assert not any(refuses(kept, host) for host in ("192.0.2.7", "198.51.100.1", "2001:db8::1"))
    assert kept.desk.numbers().active == {"manual": 0, "auto": 0, "shadow": 0, "listed": 0}


def test_networks_are_handed_to_workers(kept):
    """Each change makes another table, and the one before is closed."""
    ban(kept, "198.51.100.0/24")
    ban(kept, "203.0.112.0/24")
    kept.desk.unban("198.51.100.0/24")
    kept.desk.unban("203.0.112.0/24")
    assert [place for place, _ in kept.handed] == [BY_HAND] * 4
    assert kept.handed[-1][1][1] == -1


def test_what_nobody_confirms_is_undone(kept):
    """At its deadline, for addresses and networks, and told as a warning."""
    ban(kept, "192.0.2.7", length="1h", confirm="60s")
    ban(kept, "198.51.100.0/24", confirm="60s")
    kept.tick(59)
    assert refuses(kept, "192.0.2.7")
    kept.tick(1)
    assert not refuses(kept, "192.0.2.7")
    assert not refuses(kept, "198.51.100.1")
    assert len(kept.events("ban undone: nobody confirmed it")) == 2


def test_workers_let_unconfirmed_bans_run_out_by_themselves(kept):
    """A supervisor that hangs does not lock anybody out."""
    ban(kept, "192.0.2.7", confirm="60s")
    kept.clock.advance(60)
    assert not refuses(kept, "192.0.2.7")


def test_what_is_confirmed_stays_until_its_own_end(kept):
    """All at once, or one."""
    for address in ("192.0.2.7", "192.0.2.8", "198.51.100.0/24"):
        ban(kept, address, length="1h", confirm="60s")
    assert [each.network for each in kept.desk.confirm("192.0.2.7")] == ["192.0.2.7"]
    assert sorted(each.network for each in kept.desk.confirm(None)) == ["192.0.2.8", "198.51.100.0/24"]
    assert kept.desk.confirm(None) == []
    kept.tick(60)
    assert refuses(kept, "192.0.2.7")
    assert refuses(kept, "198.51.100.1")
    kept.tick(3_600)
    assert not refuses(kept, "192.0.2.7")


def test_a_confirmation_never_lifts_an_older_ban(kept):
    """What would be undone is refused where it would undo more than itself."""
    ban(kept, "192.0.2.7")
    with pytest.raises(BanError, match="is banned already"):
        ban(kept, "192.0.2.7", confirm="60s")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "127.0.0.0/8 is loopback"),
        ("0.0.0.0/0", "cannot be banned"),
        ("198.51.100.1", "the address that you come from"),
        ("198.51.100.2", "the address that you come from"),
        ("192.0.2.1", "192.0.2.1 is the default gateway"),
    ],
)
def test_who_must_never_be_banned_is_not(make_desk, address, why):
    """Refused with the reason, whoever asks, at the door or before it."""
    kept = make_desk(around=[Guarded("192.0.2.1", "the default gateway")])
    with pytest.raises(BanError, match=why):
        kept.desk.ban(WantedBan(address=address, asker="198.51.100.2"), "198.51.100.1")
    assert len(kept.desk.held) == 0


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"address": "example.org"}, "an address or a network"),
        ({"address": "192.0.2.1/24"}, "write 192.0.2.0/24"),
        ({"address": "192.0.2.1", "length": "soon"}, "for: a duration"),
        ({"address": "192.0.2.1", "length": "0s"}, "for: must be longer"),
        ({"address": "192.0.2.1", "confirm": "60"}, "confirm: a unit is missing"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(kept, wanted, why):
    """With what would make sense."""
    with pytest.raises(BanError, match=why):
        kept.desk.ban(WantedBan(**wanted))


def test_networks_by_hand_are_bounded(kept, monkeypatch):
    """Millions belong into a block list."""
    monkeypatch.setattr(desks, "NETWORKS", 2)
    ban(kept, "198.51.100.0/25")
    ban(kept, "198.51.100.128/25")
    with pytest.raises(BanError, match="a block list takes millions"):
        ban(kept, "192.0.2.0/25")
    ban(kept, "198.51.100.0/25", length="1h")  # one that is there may change
    ban(kept, "192.0.2.1")


def test_failed_logins_become_a_ban(kept, pen):
    """At the threshold and not before, with what was seen; what the ban refuses feeds nothing."""
    fail(kept, pen, "192.0.2.7", times=2)
    assert not refuses(kept, "192.0.2.7")
    numbers = fail(kept, pen, "192.0.2.7", times=1)
    assert refuses(kept, "192.0.2.7")
    assert (numbers.active["auto"], numbers.made["failed_logins"]) == (1, 1)
    view = kept.desk.get("192.0.2.7")
    assert (view.origin, view.reason, view.seconds_left) == ("auto", "failed_logins", 60.0)
    assert (view.evidence.count, view.evidence.threshold, view.evidence.window) == (3, 3, 100.0)
    for _ in range(9):
        pen.end(pen.open(1, ("192.0.2.7", 1)), Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.BAN))
    kept.desk.look(pen.reader.fold())
    kept.tick(61)
    assert not refuses(kept, "192.0.2.7")


def test_bans_are_counted_by_who_made_them_whatever_becomes_of_them(kept, pen):
    """A ban counts once, as what it is now: made by hand, found, in shadow, made anew as another, lifted, over."""

    def counted():
        bans = [each.ban for each in kept.desk.held]
        shadow = sum(each.shadow for each in bans)
        auto = sum(each.origin == "auto" and not each.shadow for each in bans)
        active = kept.desk.numbers().active
        assert active == {"manual": len(bans) - auto - shadow, "auto": auto, "shadow": shadow, "listed": 0}
        return active["manual"], active["auto"], active["shadow"]

    ban(kept, "198.51.100.0/24")
    ban(kept, "198.51.100.7", length="10s")
    ban(kept, "198.51.100.8", shadow=True)
    fail(kept, pen, "192.0.2.7")
    assert counted() == (2, 1, 1)
    ban(kept, "192.0.2.7", length="10s")  # an operator takes it over
    ban(kept, "198.51.100.8")
    assert counted() == (4, 0, 0)
    ban(kept, "198.51.100.0/24", shadow=True)
    assert counted() == (3, 0, 1)
    kept.desk.unban("198.51.100.8")
    assert counted() == (2, 0, 1)
    kept.tick(11)
    assert counted() == (0, 0, 1)
    kept.desk.unban("198.51.100.0/24")
    assert counted() == (0, 0, 0)


def test_each_offence_lasts_twice_as_long(kept, pen):
    """Until an operator forgives."""
    for length in (60.0, 120.0, 240.0):
        fail(kept, pen, "192.0.2.7")
        assert kept.desk.get("192.0.2.7").seconds_left == length
        kept.tick(length)
    fail(kept, pen, "192.0.2.7")
    kept.desk.unban("192.0.2.7")
    fail(kept, pen, "192.0.2.7")
    assert kept.desk.get("192.0.2.7").evidence.offence == 1


def test_in_shadow_nobody_is_refused_and_all_is_counted(make_desk, pen):
    """The log says who would be banned, and the ban who would have been refused."""
    kept = make_desk(replace(BANS, detect="shadow"))
    fail(kept, pen, "192.0.2.7")
    assert not refuses(kept, "192.0.2.7")
    assert len(kept.events("would be banned")) == 1
    for _ in range(5):
        pen.end(pen.open(1, ("192.0.2.7", 1)), COMPLETE)
    kept.desk.look(pen.reader.fold())
    numbers = kept.tick()
    assert (numbers.active["shadow"], numbers.active["auto"], numbers.shadowed) == (1, 0, 5)
    assert kept.desk.get("192.0.2.7").refused == 5
    fail(kept, pen, "192.0.2.7")
    assert len(kept.events("would be banned")) == 1  # once for each time


def test_a_network_in_shadow_counts_too(kept, pen):
    """By hand as well."""
    ban(kept, "192.0.2.0/24", shadow=True)
    assert not refuses(kept, "192.0.2.7")
    pen.open(1, ("192.0.2.7", 1))
    kept.desk.look(pen.reader.fold())
    kept.tick()
    assert kept.desk.get("192.0.2.0/24").refused == 1
    ban(kept, "192.0.2.0/24")
    assert refuses(kept, "192.0.2.7")


def test_detectors_leave_the_protected_and_the_exempt_alone(make_desk, pen):
    """And are off where they are told to be."""
    kept = make_desk()
    for host in ("127.0.0.5", "203.0.113.40", "203.0.113.70", "-"):
        fail(kept, pen, host, times=9)
    limits = replace(kept.plan.worker.limits, exempt=("198.51.100.0/24",))
    kept.desk.replan(replace(kept.plan, worker=replace(kept.plan.worker, limits=limits)))
    fail(kept, pen, "198.51.100.7", times=9)
    assert len(kept.desk.held) == 0
    off = make_desk(replace(BANS, detect="off"))
    fail(off, pen, "192.0.2.7", times=9)
    assert len(off.desk.held) == 0


def test_a_client_that_walks_over_listeners_is_banned(kept, pen):
    """Three listeners in a while, and nothing useful at any of them."""
    for listener in (1, 2, 3):
        pen.end(pen.open(listener, ("192.0.2.7", 1)), COMPLETE)
        pen.end(pen.open(1, ("192.0.2.8", 1)), COMPLETE)
    kept.desk.look(pen.reader.fold())
    kept.tick()
    assert [each.ban.network for each in kept.desk.held] == ["192.0.2.7"]


def test_an_attack_from_everywhere_is_told_in_a_few_lines(kept, pen):
    """Single lines are bounded; the rest is counted."""
    flood(kept, pen, 100)
    assert kept.tick().active["auto"] == 100
    assert len(kept.events("banned")) == desks.LINES
    assert kept.events("more clients banned")[0]["clients"] == 100 - desks.LINES


def test_in_shadow_mode_nobody_is_said_to_be_banned(make_desk, pen):
    """Neither in lines of their own nor in the count of the others."""
    kept = make_desk(replace(BANS, detect="shadow"))
    flood(kept, pen, 100)
    kept.tick()
    assert kept.events("more clients would be banned")[0]["clients"] == 100 - desks.LINES
    assert not kept.events("more clients banned")
    assert not kept.events("banned")


def test_a_ban_in_shadow_keeps_nobody_from_a_real_one(make_desk, pen):
    """Once detectors are on, who goes on is banned, though it still has a ban in shadow; an operator's own stays."""
    kept = make_desk(replace(BANS, detect="shadow"))
    fail(kept, pen, "192.0.2.7")
    ban(kept, "192.0.2.8", shadow=True)
    assert not refuses(kept, "192.0.2.7")
    kept.desk.replan(replace(kept.plan, bans=replace(kept.plan.bans, detect="on")))
    fail(kept, pen, "192.0.2.7")
    fail(kept, pen, "192.0.2.8")
    assert refuses(kept, "192.0.2.7")
    assert not refuses(kept, "192.0.2.8")


def test_a_flood_is_banned_a_part_at_a_time(kept, pen, monkeypatch):
    """No tick bans more than so many; who waits is banned by the next ones, though it has done nothing since."""
    monkeypatch.setattr(desks, "SENTENCES", 40)
    flood(kept, pen, 100)
    assert [kept.tick().active["auto"] for _ in range(4)] == [40, 80, 100, 100]


def test_who_waits_for_its_ban_is_forgotten_by_other_rules(kept, pen, monkeypatch):
    """A reload clears verdicts that no tick has come to."""
    monkeypatch.setattr(desks, "SENTENCES", 1)
    flood(kept, pen, 3)
    assert kept.tick().active["auto"] == 1
    kept.desk.replan(kept.desk.plan)
    assert kept.tick().active["auto"] == 1


def test_block_lists_hold_for_good_but_not_for_the_protected(make_desk, tmp_path):
    """They are read when they have changed, and handed over whole."""
    path = tmp_path / "list"
    path.write_text("192.0.2.0/24\n127.0.0.0/8\n203.0.113.0/24\n")
    kept = make_desk(replace(BANS, lists=((str(path), "bad people"),)))
    kept.desk.read_lists(kept.plan)
    kept.desk.take_lists(kept.desk.write_lists())
    (told,) = kept.events("block list holds who is never banned, and bans them not")
    assert "is loopback" in told["detail"]
    assert [place for place, _ in kept.handed] == [LISTED]
    assert refuses(kept, "192.0.2.9")
    assert not refuses(kept, "127.0.0.1")
    assert not refuses(kept, "203.0.113.1")
    assert refuses(kept, "203.0.113.2")
    assert kept.desk.numbers().active["listed"] == 3
    before = kept.desk.read_lists(kept.plan)
    assert kept.desk.read_lists(kept.plan) is before
    path.write_text("nonsense\n")
    with pytest.raises(ConfigurationError):
        kept.desk.read_lists(kept.plan)
    assert refuses(kept, "192.0.2.9")


def test_a_plan_that_protects_lifts(kept):
    """Who is protected from now on is not banned any more."""
    ban(kept, "192.0.2.7")
    ban(kept, "192.0.2.8")
    kept.desk.replan(replace(kept.plan, bans=replace(BANS, protect=("192.0.2.7",))))
    assert not refuses(kept, "192.0.2.7")
    assert refuses(kept, "192.0.2.8")


def test_pages_filter(kept, pen):
    """By origin, reason, and address."""
    ban(kept, "192.0.2.0/24", reason="x")
    ban(kept, "192.0.2.9", shadow=True)
    fail(kept, pen, "198.51.100.7")
    ask = {"after": "", "limit": 10, "origin": None, "reason": None, "address": None}
    for more, expected in (
        ({}, ["192.0.2.0/24", "192.0.2.9", "198.51.100.7"]),
        ({"origin": "auto"}, ["198.51.100.7"]),
        ({"origin": "shadow"}, ["192.0.2.9"]),
        ({"reason": "x"}, ["192.0.2.0/24"]),
        ({"address": (0xFFFF << 32) + 0xC000_0209}, ["192.0.2.0/24", "192.0.2.9"]),
    ):
        found, following, total = kept.desk.page(**ask | more)
        assert ([each.network for each in found], following, total) == (expected, None, len(expected))
