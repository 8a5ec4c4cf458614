"""Tests of `penstock.node.bans.drawer`."""

from penstock.node.bans.drawer import BAN, FAULTS, MADE, OFFENCES
from penstock.node.bans.views import WantedBan
from penstock.policy.ban import Ban, parse_network
from penstock.store.tables import Entry

from .test_desk import fail, pen, refuses  # noqa: F401


def entries(found):
    """Return what was given out as a store gives it back, by kind."""
    return {
        kind: [Entry(key, body, 0) for (each, key), body in found.items() if each == kind and body is not None]
        for kind in (BAN, OFFENCES, MADE)
    }


def test_bans_and_offences_outlive_a_restart_with_their_end(make_desk, pen):  # noqa: F811
    """What was given out makes another desk that holds the same until the same time."""
    one = make_desk()
    one.desk.ban(WantedBan(address="192.0.2.0/24", length="100s", reason="x"))
    one.desk.ban(WantedBan(address="2001:db8::/64"))
    fail(one, pen, "198.51.100.7")
    two = make_desk()
    two.clock.advance(41)
    assert two.desk.drawer.restore(entries(one.desk.drawer.take())) == []
    assert two.desk.get("192.0.2.0/24").seconds_left == 59.0
    assert [refuses(two, host) for host in ("192.0.2.1", "2001:db8::9", "198.51.100.7")] == [True] * 3
    assert two.desk.numbers().made["manual"] == 2
    assert two.desk.numbers().made["failed_logins"] == 1
    two.tick(100)
    fail(two, pen, "198.51.100.7")
    assert two.desk.get("198.51.100.7").evidence.offence == 2


def test_only_what_changed_is_given_out_and_once(kept):
    """A lifted ban is removed; if what was given out is lost, all is given out again."""
    drawer = kept.desk.drawer
    kept.desk.ban(WantedBan(address="192.0.2.1"))
    assert set(drawer.take()) == {(BAN, "192.0.2.1"), (MADE, "totals")}
    assert drawer.take() == {}
    kept.desk.unban("192.0.2.1")
    assert drawer.take() == {(BAN, "192.0.2.1"): None, (OFFENCES, f"{0xFFFF_C000_0201:032x}"): None}
    kept.desk.ban(WantedBan(address="192.0.2.2"))
    drawer.take()
    assert (BAN, "192.0.2.2") in drawer.take(everything=True)


def test_what_is_restored_is_not_written_again_and_what_is_over_goes(make_desk):
    """A start costs a write for what has ended, not for what goes on."""
    one, two = make_desk(), make_desk()
    one.desk.ban(WantedBan(address="192.0.2.1", length="10s"))
    one.desk.ban(WantedBan(address="192.0.2.2", length="100s"))
    two.clock.advance(50)
    two.desk.drawer.restore(entries(one.desk.drawer.take()))
    assert two.kept == 0
    assert two.desk.drawer.take().get((BAN, "192.0.2.1"), "no") is None
    assert (BAN, "192.0.2.2") not in two.desk.drawer.take()


def test_damaged_entries_are_told_and_the_others_hold(make_desk):
    """A store that holds nonsense costs what is nonsense in it."""
    one, two = make_desk(), make_desk()
    one.desk.ban(WantedBan(address="192.0.2.1"))
    kept = entries(one.desk.drawer.take())
    good = kept[BAN][0]
    kept[BAN] += [
        Entry("192.0.2.2", "{", 0),
        Entry("192.0.2.3", "{}", 0),
        Entry("192.0.2.4", good.body.replace("192.0.2.1", "127.0.0.1"), 0),
        Entry("x", good.body.replace("192.0.2.1", "nonsense"), 0),
        *(Entry(f"y{number}", "[]", 0) for number in range(9)),
    ]
    kept[OFFENCES] = [Entry("zz", "[1, 1]", 0)]
    kept[MADE] = [Entry("totals", '{"unknown": 4, "manual": -3}', 0)]
    faults = two.desk.drawer.restore(kept)
    assert len(faults) == FAULTS + 1
    assert faults[-1].startswith("and 9 more")
    assert [each.ban.network for each in two.desk.held] == ["192.0.2.1"]
    assert sum(two.desk.made.values()) == 0


def test_what_was_banned_before_the_store_could_be_read_counts(make_desk):
    """A store that comes late takes nothing back."""
    one, two = make_desk(), make_desk()
    one.desk.ban(WantedBan(address="192.0.2.1", reason="old"))
    two.desk.ban(WantedBan(address="192.0.2.1", reason="new"))
    two.desk.drawer.restore(entries(one.desk.drawer.take()))
    assert two.desk.get("192.0.2.1").reason == "new"
    assert "new" in two.desk.drawer.take()[BAN, "192.0.2.1"]


def test_twenty_thousand_bans_are_restored(make_desk):
    """All of them, and each ends when it was to end."""
    one, two = make_desk(), make_desk()
    for number in range(20_000):
        one.desk._make(*_ban(one, number))
    assert two.desk.drawer.restore(entries(one.desk.drawer.take())) == []
    assert two.desk.numbers().active["manual"] == 20_000
    assert two.desk.get("10.0.78.31").seconds_left == 3_600.0


def _ban(kept, number):
    network = parse_network(f"10.0.{number >> 8}.{number & 255}")
    now = kept.clock.wall_ns()
    ban = Ban(network=network.text, origin="manual", reason="x", since=now, until=now + 3_600 * 10**9)
    return ban, network, "manual"
