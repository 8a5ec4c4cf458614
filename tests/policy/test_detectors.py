"""Tests of `penstock.policy.detectors`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.detectors import CLIENTS, OFFENDERS, Counter, Offences, Rule, SavedOffences

RULE = Rule("failed_logins", "failed logins", threshold=5, window=100, duration=60)


def test_from_rest_exactly_the_threshold_is_too_much():
    """Four events pass, the fifth within the window does not; then counting begins anew."""
    counter = Counter(RULE)
    assert [counter.add([(7, 1)], at) for at in (0, 20, 40, 60)] == [[]] * 4
    assert counter.count(7, 60) == 4
    assert counter.add([(7, 1), (8, 1)], 99) == [(7, 5)]
    assert counter.count(7, 99) == 0
    assert counter.count(8, 99) == 1


@given(st.lists(st.tuples(st.integers(0, 150), st.integers(1, 3)), max_size=40))
def test_nobody_is_found_who_did_less_in_two_windows(events):
    """Whoever is found has done as much within two windows: smoothing never invents events."""
    counter, now, done = Counter(RULE), 0, []
    for pause, count in events:
        now += pause
        done.append((now, count))
        if counter.add([(7, count)], now):
            assert sum(n for at, n in done if at > now - 2 * RULE.window) >= RULE.threshold
            done = []


@given(st.lists(st.tuples(st.integers(0, 250), st.integers(1, 4)), max_size=40))
def test_whoever_is_found_is_found_by_its_count(events):
    """A client is found exactly when what counts of it, by whichever way it is added up, has come to the threshold."""
    counter, now = Counter(RULE), 0
    patient = Counter(RULE._replace(threshold=1_000))
    for pause, count in events:
        now += pause
        patient.add([(7, count)], now)
        done = patient.count(7, now)
        found = counter.add([(7, count)], now)
        assert found == ([(7, done)] if done >= RULE.threshold else [])
        if found:
            patient.drop(7)


@given(st.integers(0, 99), st.integers(5, 9))
def test_who_does_too_much_within_a_window_from_rest_is_found(spread, count):
    """However its events lie in the window."""
    counter = Counter(RULE)
    found = [each for number in range(count) for each in counter.add([(7, 1)], spread * number // count)]
    assert found == [(7, 5)]


def test_silence_is_forgotten():
    """After two windows without an event there is nothing left."""
    counter = Counter(RULE)
    counter.add([(7, 4)], 0)
    assert [counter.count(7, at) for at in (99, 150, 199, 200)] == [4, 2, 1, 0]
    assert counter.add([(7, 4)], 200) == []


def test_memory_is_bounded_and_those_that_did_most_are_kept():
    """A flood of clients that come once does not hide one that comes again and again."""
    counter = Counter(RULE)
    counter.add([(1, 3)], 0)
    for start in range(2, 4 * CLIENTS, 1_000):
        counter.add([(client, 1) for client in range(start, start + 1_000)], 1)
        assert len(counter) <= CLIENTS + 1_000
    assert counter.add([(1, 2)], 2) == [(1, 5)]


def test_each_offence_is_banned_twice_as_long_up_to_the_cap():
    """And an offence is forgotten some time after its ban is over."""
    offences = Offences(longest=1_000, remember=500)
    assert [offences.punish(7, 60, 0) for _ in range(6)] == [
        (1, 60),
        (2, 120),
        (3, 240),
        (4, 480),
        (5, 960),
        (6, 1_000),
    ]
    assert offences.of(7, 1_499) == 6
    assert offences.of(7, 1_500) == 0
    assert offences.punish(7, 60, 1_500) == (1, 60)


def test_who_is_forgiven_begins_anew():
    """A ban that was lifted was perhaps wrong."""
    offences = Offences(1_000, 500)
    offences.punish(7, 60, 0)
    offences.forgive(7)
    assert offences.punish(7, 60, 0) == (1, 60)


def test_offences_outlive_a_restart_and_are_bounded():
    """What was exported is remembered, but for what is over; the oldest leave first."""
    offences = Offences(1_000, 500)
    for client in range(OFFENDERS + 10):
        offences.punish(client + 1, 60, client // 1_000)
    assert len(offences) == OFFENDERS
    heir = Offences(1_000, 500)
    heir.restore(offences.export(), 70)
    assert heir.of(OFFENDERS + 10, 70) == 1
    assert heir.of(1, 70) == 0
    late = Offences(1_000, 500)
    late.restore(offences.export(), 10_000)
    assert len(late) == 0


@pytest.mark.parametrize("saved", [{"x": (1, 1)}, {"-1": (1, 1)}, {"1": (0, 1)}, {"f" * 40: (1, 1)}])
def test_offences_of_nobody_are_refused(saved):
    """A damaged store is told, not believed."""
    with pytest.raises(ValueError, match=r"offences|invalid literal"):
        Offences(1_000, 500).restore(SavedOffences(saved), 0)
