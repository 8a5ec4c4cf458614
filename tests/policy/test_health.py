"""Targets become what is said of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.config.plan import HealthPlan
from penstock.policy.balance import FINE
from penstock.policy.health import TargetHealth, TargetOrder, TargetState

UP, DOWN, EJECTED, DRAIN, MAINT = TargetState
PLAN = HealthPlan(kind="tcp", rise=2, fall=3, ejection=10 * NS)


def states(health, words, now=0):
    """Return the state after each check: `+` passes and `-` fails."""
    found = []
    for word in words:
        health.checked("" if word == "+" else "refused", now)
        found.append(health.state)
    return found


def test_the_first_check_decides():
    """A target is up until it was checked once; then nobody waits for more of the same."""
    assert TargetHealth(PLAN, 1, 0).state is UP
    assert states(TargetHealth(PLAN, 1, 0), "-") == [DOWN]
    assert states(TargetHealth(PLAN, 1, 0), "+") == [UP]


def test_later_changes_need_checks_in_a_row():
    """Three that fail make it down, two that pass make it up, and one that disagrees begins the row anew."""
    assert states(TargetHealth(PLAN, 1, 0), "+--+---+-++") == [UP] * 6 + [DOWN] * 4 + [UP]


def test_why_and_since_when_are_told():
    """The reason of the last check stays with the state that it brought, and so does the time."""
    health = TargetHealth(PLAN, 1, 5)
    assert (health.why, health.since) == ("", 5)
    health.checked("status 503", 7)
    health.checked("refused", 8)
    assert (health.why, health.since) == ("status 503", 7)


def test_an_ejection_ends_with_its_time():
    """A target whose dials fail is out for as long as the plan says, and time brings it back."""
    health = TargetHealth(PLAN, 1, 0)
    assert health.eject("3 dials failed", 0)
    assert (health.state, health.why, health.due(0)) == (EJECTED, "3 dials failed", 10 * NS)
    health.wake(10 * NS - 1)
    assert health.state is EJECTED
    health.wake(10 * NS)
    assert (health.state, health.due(10 * NS)) == (UP, None)


def test_one_that_is_out_is_not_ejected_again():
    """Reports of other workers about the same failure change nothing; the next one lasts twice as long."""
    health = TargetHealth(PLAN, 1, 0)
    assert [health.eject("failed", 0), health.eject("failed", 9 * NS)] == [True, False]
    health.wake(10 * NS)
    assert health.eject("failed", 11 * NS)
    assert health.due(11 * NS) == 31 * NS


def test_checks_end_an_ejection():
    """As many good checks as make a target up take it back before its time; those from before do not count."""
    health = TargetHealth(PLAN, 1, 0)
    states(health, "+++")
    health.eject("failed", 0)
    assert states(health, "+") == [EJECTED]
    assert states(health, "-++") == [EJECTED, EJECTED, UP]


def test_orders_outlive_checks():
    """What an operator wants holds whatever checks and dials say, and what they said holds when the order is gone."""
    health = TargetHealth(PLAN, 1, 0)
    health.obey(TargetOrder.DRAIN, None, 0)
    assert (health.state, health.why) == (DRAIN, "by order of the operator")
    assert states(health, "-+") == [DRAIN, DRAIN]
    health.eject("failed", 0)
    health.obey(TargetOrder.MAINT, None, 0)
    assert health.state is MAINT
    health.obey(TargetOrder.READY, None, 0)
    assert health.state is DOWN
    assert states(health, "+") == [EJECTED]


def test_after_maintenance_the_next_check_decides():
    """Nobody has looked at a target while it was out: what was known before is old."""
    health = TargetHealth(PLAN, 1, 0)
    states(health, "+")
    health.obey(TargetOrder.MAINT, None, 0)
    health.obey(TargetOrder.READY, None, 0)
    assert states(health, "-") == [DOWN]


def test_a_weight_is_the_operators_until_the_plan_has_another():
    """A reload that says nothing new about the weight leaves the one that was ordered."""
    health = TargetHealth(PLAN, 1, 0)
    assert health.share(0) == FINE
    health.obey(None, 7, 0)
    assert (health.share(0), health.state) == (7 * FINE, UP)
    health.replan(PLAN, 1, 0)
    assert health.share(0) == 7 * FINE
    health.replan(PLAN, 3, 0)
    assert health.share(0) == 3 * FINE


def test_who_is_no_longer_checked_is_no_longer_down():
    """A plan without checks leaves nobody down whom no check can take back."""
    health = TargetHealth(PLAN, 1, 0)
    states(health, "-")
    health.replan(HealthPlan(), 1, 3)
    assert (health.state, health.why) == (UP, "no longer checked")


def test_a_slow_start_gives_the_weight_back_in_steps():
    """A target that came up begins with a tenth, and has all of it after the time; a new one needs none."""
    health = TargetHealth(HealthPlan(kind="tcp", slow_start=20 * NS), 2, 0)
    assert (health.share(0), health.due(0)) == (200, None)
    states(health, "-", 5 * NS)
    states(health, "++", 30 * NS)
    shares = [health.share((30 + second) * NS) for second in (0, 1, 2, 4, 10, 19, 20)]
    assert shares == [20, 20, 20, 40, 100, 190, 200]
    assert health.due(31 * NS) == 32 * NS
    assert health.due(50 * NS) is None


def test_a_slow_start_is_not_asked_for_too_often():
    """Steps are a tenth of a second at least."""
    health = TargetHealth(HealthPlan(slow_start=NS), 1, 0)
    health.obey(TargetOrder.DRAIN, None, NS)
    health.obey(TargetOrder.READY, None, NS)
    assert health.due(NS) == NS + NS // 10


def test_the_lightest_is_never_without():
    """A share is 1 at least, however slowly it starts: 0 would stand for another weight on the board."""
    health = TargetHealth(HealthPlan(slow_start=100 * NS), 1, 0)
    health.eject("failed", 0)
    health.wake(10 * NS)
    assert health.share(10 * NS) == 10


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("checked"), st.sampled_from(["", "refused"])),
        st.tuples(st.just("eject"), st.just("failed")),
        st.tuples(st.just("obey"), st.sampled_from(TargetOrder)),
        st.tuples(st.just("wake"), st.just("")),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(EVENTS, st.integers(0, 5 * NS))
def test_a_target_is_up_exactly_when_nobody_objects(events, slow_start):
    """After any events: up if no check, no ejection and no operator is against it, and its weight is within bounds."""
    now, health = 0, TargetHealth(HealthPlan(kind="tcp", slow_start=slow_start), 3, 0)
    for what, how in events:
        now += NS
        before, since = health.state, health.since
        if what == "obey":
            health.obey(how, None, now)
        elif what == "wake":
            health.wake(now)
        else:
            getattr(health, what)(how, now)
        objections = health.down or health.ejected or health.order is not TargetOrder.READY
        assert (health.state is UP) == (not objections)
        assert health.since == (now if health.state is not before else since)
        assert 1 <= health.share(now) <= 3 * FINE
        assert health.due(now) is None or health.due(now) > now or health.ejected


@pytest.mark.parametrize("state", TargetState)
def test_states_are_words(state):
    """What is published is the word itself."""
    assert f"{state}" == state.value


def test_a_successor_goes_on_from_what_was_known():
    """An order, a weight and the word of the last check hold at once; then checks decide again, the first one alone."""
    elder = TargetHealth(PLAN, 4, 0)
    elder.obey(None, 2, 0)
    states(elder, "---")
    heir = TargetHealth(PLAN, 4, 5)
    heir.recall(elder.remember(), 5)
    assert (heir.state, heir.why, heir.share(5)) == (DOWN, "refused", 2 * FINE)
    assert states(heir, "+", 6) == [UP]
    elder.obey(TargetOrder.MAINT, None, 7)
    heir.recall(elder.remember(), 8)
    assert (heir.state, heir.down) == (MAINT, False)
    heir.recall(TargetHealth(PLAN, 4, 0).remember(), 9)
    assert (heir.state, heir.share(9)) == (UP, 4 * FINE)


def test_a_successor_goes_on_with_ejections():
    """Who is left out stays so until the same moment, the next time twice as long; said twice, it is said once."""
    elder = TargetHealth(PLAN, 1, 0)
    elder.eject("3 dials failed", 2 * NS)
    heir = TargetHealth(PLAN, 1, 5 * NS)
    for _ in range(2):
        heir.recall(elder.remember(), 5 * NS)
        assert (heir.state, heir.why, heir.due(5 * NS)) == (EJECTED, "3 dials failed", 12 * NS)
    heir.wake(12 * NS)
    heir.recall(elder.remember(), 12 * NS)
    assert heir.state is UP
    heir.eject("3 dials failed", 12 * NS)
    assert heir.due(12 * NS) == 32 * NS


def test_a_successor_knows_better_than_an_old_ejection():
    """Checks of its own that have found the target well, an ejection that is over, and a plan without any, end it."""
    elder = TargetHealth(PLAN, 1, 0)
    elder.eject("3 dials failed", 0)
    well, late, never = (TargetHealth(plan, 1, 0) for plan in (PLAN, PLAN, HealthPlan(failures=0)))
    states(well, "++")
    for heir, now in ((well, 1), (late, 10 * NS), (never, 1)):
        heir.recall(elder.remember(), now)
        assert heir.state is UP


def test_a_successor_goes_on_with_a_slow_start():
    """A target that is on its way to its whole share stays on it."""
    plan = HealthPlan(kind="tcp", slow_start=100 * NS)
    elder = TargetHealth(plan, 10, 0)
    states(elder, "-++", 10 * NS)
    heir = TargetHealth(plan, 10, 60 * NS)
    heir.recall(elder.remember(), 60 * NS)
    assert heir.share(60 * NS) == elder.share(60 * NS) == 5 * FINE
    assert heir.share(110 * NS) == 10 * FINE


def test_another_configuration_wins_over_what_was_known():
    """Another configured weight counts more than an older order, and who is not checked any more is not down."""
    elder = TargetHealth(PLAN, 4, 0)
    elder.obey(None, 2, 0)
    states(elder, "---")
    heir = TargetHealth(HealthPlan(kind="off"), 5, 0)
    heir.recall(elder.remember(), 0)
    assert (heir.state, heir.share(0)) == (UP, 5 * FINE)
