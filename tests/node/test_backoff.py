"""When dead workers are started again."""

from penstock.base.clock import NS
from penstock.node.backoff import FIRST_NS, LONGEST_NS, TRUSTED_NS, Backoff, delay_after


def test_first_death_is_replaced_at_once():
    """One death costs nobody a second: its successor starts without delay."""
    assert Backoff().died(0, 5 * NS).delay_ns == 0


def test_delays_double_to_the_longest():
    """After the first death the delays are 0.1 s, doubling to 30 s, and stay there for ever."""
    delays = [delay_after(deaths) for deaths in range(1, 14)]
    assert delays[:4] == [0, FIRST_NS, 2 * FIRST_NS, 4 * FIRST_NS]
    assert delays[10:] == [LONGEST_NS] * 3
    assert delay_after(10**9) == LONGEST_NS


def test_a_long_life_ends_the_row():
    """A worker that lived 60 s is trusted: its death counts as the first one."""
    backoff = Backoff()
    for second in range(6):
        last = backoff.died(second * NS, second * NS)
    assert last.delay_ns == 16 * FIRST_NS
    assert backoff.died(0, TRUSTED_NS - 1).deaths == 7
    assert backoff.died(0, TRUSTED_NS).deaths == 1


def test_a_crash_loop_is_said_once_a_minute():
    """The first two deaths have a line each; from the third on there is one line a minute."""
    backoff = Backoff()
    deaths = [backoff.died(now * NS, now * NS) for now in range(0, 180, 5)]
    assert [death.say for death in deaths[:4]] == [True, True, True, False]
    assert [death.loops for death in deaths[:4]] == [False, False, True, True]
    said = [now for now, death in zip(range(0, 180, 5), deaths, strict=True) if death.say and death.loops]
    assert said == [10, 70, 130]
