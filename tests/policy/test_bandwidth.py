"""Token buckets of bytes: exact over any time, with a burst after a pause, and what was taken too much is paid."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.policy.bandwidth import FIRST_NS, pay, reach_of, ready_at, room

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RATES = st.sampled_from([64 * KIB, 300_001, 10 * MIB, GIB])


def flow(rate, steps, burst=0):
    """Return what a flow that always wants more has had after these pauses; unit ns of pauses, bytes of the answer."""
    reach = reach_of(rate, burst or rate // 4)
    now, moved = 1_000 * NS, 0
    paid = now - FIRST_NS
    for step in steps:
        now += step
        free = room(paid, now, rate, reach)
        paid, moved = pay(paid, now, free, rate, reach), moved + free
    return moved


@given(RATES, st.lists(st.integers(1_000_000, 200_000_000), min_size=1, max_size=50))
def test_a_flow_has_its_rate_to_two_percent(rate, steps):
    """Who asks at least each fifth of a second has its rate over five seconds, from the first byte on, within 2 %."""
    steps *= 1 + 5 * NS // sum(steps)
    assert abs(flow(rate, steps) * NS / (rate * sum(steps)) - 1) < 0.02


def test_who_pauses_has_a_burst_and_no_more():
    """After an hour of silence a burst passes at once; then the rate counts."""
    assert flow(MIB, [3_600 * NS], burst=3 * MIB) == 3 * MIB
    assert flow(MIB, [3_600 * NS, NS], burst=3 * MIB) == 4 * MIB


def test_a_new_bucket_has_a_twentieth_of_a_second():
    """A flow that has just begun has no burst yet."""
    assert flow(MIB, [0]) == MIB // 20


@given(RATES, st.integers(0, GIB), st.integers(0, 5 * NS))
def test_what_was_taken_too_much_is_paid(rate, count, later):
    """However much passed at once, nothing passes before its time is over, and no byte is forgotten."""
    reach = reach_of(rate, rate)
    paid = pay(NS, NS, count, rate, reach)
    free = room(paid, NS + later, rate, reach)
    assert free <= max(0, later * rate // NS - count) + 1
    assert (free == 0) == (NS + later < ready_at(paid, 1, rate))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=1_000))
def test_single_bytes_are_not_free(counts):
    """Rounding is never for the one who takes: many small pieces cost as much as one large one, or more."""
    reach, paid = reach_of(3 * GIB, GIB), NS
    for count in counts:
        paid = pay(paid, NS, count, 3 * GIB, reach)
    assert paid >= pay(NS, NS, sum(counts), 3 * GIB, reach)
