"""Few hands for many clients: no client delays another one."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.turns import LATE_LINE, LINE, UNDER_WAY, Turns


def test_of_one_client_two_are_under_way():
    """The rest waits in its own line, and follows in its order."""
    turns = Turns(100)
    assert [turns.come(b"a", number, late=False) for number in range(5)] == [True, True, False, False, False]
    assert [turns.leave(b"a") for _ in range(5)] == [2, 3, 4, None, None]
    assert len(turns) == 0


def test_a_client_does_not_wait_behind_another_ones_line():
    """Whatever one client has in its line, the first of another one is ready behind two of them at most."""
    turns = Turns(100)
    for number in range(20):
        if turns.come(b"a", number, late=False):
            turns.line_up(number, late=False)
    assert turns.come(b"b", "b", late=False)
    turns.line_up("b", late=False)
    assert [turns.take() for _ in range(4)] == [0, 1, "b", None]


def test_those_with_failures_come_last():
    """What is ready of a client with failures is done while nothing else is ready."""
    turns = Turns(100)
    for job, late in (("late", True), ("first", False), ("second", False)):
        turns.come(job.encode(), job, late=late)
        turns.line_up(job, late=late)
    assert [turns.take() for _ in range(3)] == ["first", "second", "late"]


def test_lines_are_bounded():
    """A client has so many jobs, one with failures few, all of them together no more than the limit."""
    turns = Turns(1_000)
    assert [turns.come(b"a", 0, late=False) for _ in range(UNDER_WAY + LINE + 1)].count(None) == 1
    assert [turns.come(b"b", 0, late=True) for _ in range(9)].count(None) == 9 - UNDER_WAY - LATE_LINE
    turns = Turns(8)
    assert [turns.come(bytes([number]), 0, late=True) for number in range(6)] == [True] * 4 + [None] * 2
    assert [turns.come(bytes([number]), 0, late=False) for number in range(9, 15)] == [True] * 4 + [None] * 2


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans()), max_size=60), st.integers(1, 20))
def test_every_job_that_is_taken_is_done_once(arrivals, limit):
    """Whoever comes in whatever order: what was taken is done, each client's jobs in their order, and nothing stays."""
    turns, taken, done = Turns(limit), [], []

    def work():
        job = turns.take()
        if job is not None:
            done.append(job)
            following = turns.leave(job[0])
            if following is not None:
                turns.line_up(following, late=False)
        return job

    for number, (key, late) in enumerate(arrivals):
        under_way = turns.come(key, (key, number), late=late)
        if under_way is not None:
            taken.append((key, number))
        if under_way:
            turns.line_up((key, number), late=late)
        if number % 3 == 0:
            work()
    while work() is not None:
        pass
    assert sorted(done) == sorted(taken)
    assert len(turns) == 0
