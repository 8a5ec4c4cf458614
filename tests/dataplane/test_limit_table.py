"""The limit table: what all workers count together, exactly, whoever dies and whatever keys come."""

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.config.limit_plan import RatePlan
from penstock.dataplane.limit_table import (
    ALONE,
    FRESH_NS,
    GLOBAL,
    H_BUCKETS,
    H_COLUMNS,
    H_LAYOUT,
    IP,
    KNOWN,
    NODE,
    STALE_NS,
    TAG_MASK,
    UNTRACKED,
    USER,
    WAYS,
    LimitTable,
    Seats,
    buckets_for,
    columns_for,
    columns_of,
    create,
    parse,
    serialize,
    slot_words,
)

KEY, OTHER = b"k" * 16, b"o" * 16
MINUTE = 60 * NS


@pytest.fixture
def tables():
    """Make views of one table, one for each seat."""
    opened = []

    def make(seats, buckets=16):
        fd = create(seats, buckets)
        views = [LimitTable(fd, seat) for seat in range(seats)]
        opened.append((fd, views))
        return views

    yield make
    for fd, views in opened:
        for view in views:
            view.close()
        os.close(fd)


def slot(table, key=KEY, window=MINUTE, now=NS):
    """Return the slot of a key."""
    return table.slot(key, IP, window, now)


# Open connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seats", [1, 2, 4, 9])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_limit_is_reached_and_not_exceeded(tables, seats, limit):
    """Workers in any turn let in as many as the limit says, and one more for each that leaves."""
    views, turn = tables(seats), random.Random(seats * limit)
    base = slot(views[0])
    assert {slot(view) for view in views} == {base}
    let_in = [view for view in (turn.choice(views) for _ in range(limit + 20)) if view.enter(base, limit)]
    assert len(let_in) == limit == views[0].open_in(base)
    let_in.pop().leave(base)
    assert sum(view.enter(base, limit) for view in [*views, views[0]]) == 1
    assert views[-1].open_in(base) == limit


def test_the_node_has_columns_in_the_header(tables):
    """The count of the whole node takes no slot, and each worker writes its own word."""
    one, two = tables(2)
    assert [one.enter(NODE, 2), two.enter(NODE, 2), one.enter(NODE, 2)] == [True, True, False]
    assert list(one.words[GLOBAL : GLOBAL + 3]) == [1, 1, 0]
    two.leave(NODE)
    assert one.enter(NODE, 2)


def test_a_lower_limit_lets_nobody_in_until_enough_have_left(tables):
    """What is open stays counted when the limit changes: who left makes room only below the new one."""
    (table,) = tables(1)
    base = slot(table)
    assert all(table.enter(base, 5) for _ in range(5))
    assert not table.enter(base, 2)
    for _ in range(3):
        table.leave(base)
    assert not table.enter(base, 2)
    table.leave(base)
    assert table.enter(base, 2)


# Rates ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seats", [1, 3])
@given(
    limit=st.integers(1, 60),
    window=st.sampled_from([NS, 2 * NS, MINUTE]),
    start=st.integers(1, 10**15),
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, NS // 20)), min_size=1, max_size=150),
)
def test_exactly_the_limit_passes_in_the_first_window(seats, limit, window, start, steps):
    """From rest exactly the limit passes in the window that the first one begins, whichever workers are asked."""
    fd = create(seats, 2)
    views = [LimitTable(fd, seat) for seat in range(seats)]
    try:
        now, passed, asked = start, 0, 0
        for seat, step in steps:
            now += step if asked else 0
            if now >= start + window:
                break
            view = views[seat % seats]
            passed += view.count(view.slot(KEY, IP, window, now), limit, window, now)
            asked += 1
        assert passed == min(limit, asked)
    finally:
        for view in views:
            view.close()
        os.close(fd)


@given(
    most=st.integers(0, 6),
    limit=st.integers(0, 12),
    window=st.sampled_from([NS // 4, NS, 3 * NS]),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=120),
)
def test_what_is_plain_is_what_would_have_been_counted(most, limit, window, steps):
    """Who takes the short way where it is open lets in whom the long way lets in, at any time, and counts the same."""
    fds = [create(1, 2) for _ in range(2)]
    short, long = (LimitTable(fd) for fd in fds)
    now = NS
    try:
        for kind, step in steps:
            now += step * window // 5
            if not kind:
                for table in (short, long):
                    base = slot(table, window=window, now=now)
                    if table.open_in(base):
                        table.leave(base)
                continue
            taken = short.take(KEY, most, limit, now)
            answers = [count_in(long, most, limit, window, now)]
            answers.append(bool(taken) or count_in(short, most, limit, window, now, plain=True))
            assert len(set(answers)) == 1
            bases = slot(short, window=window, now=now), slot(long, window=window, now=now)
            assert short.open_in(bases[0]) == long.open_in(bases[1])
            assert short.used(bases[0], window, now) == long.used(bases[1], window, now)
    finally:
        for table in (short, long):
            table.close()
        for fd in fds:
            os.close(fd)


def count_in(table, most, limit, window, now, *, plain=False):
    """Let one in the long way, and say so; what follows may be plain."""
    base = slot(table, window=window, now=now)
    if most and not table.enter(base, most):
        return False
    if limit and not table.count(base, limit, window, now):
        if most:
            table.leave(base)
        return False
    if plain:
        table.make_plain(KEY, base, limit, window, now)
    return True


def test_the_short_way_is_open_until_something_changes(tables):
    """A second long, for one worker alone, while the slot is the key's, and until limits are others."""
    one, two = tables(2, buckets=1)
    one.sum_up(0, 1)
    count_in(one, 5, 9, MINUTE, NS, plain=True)
    base = one.take(KEY, 5, 9, 2 * NS - 1)
    assert base
    assert one.take(KEY, 2, 9, 2 * NS - 1) == one.take(KEY, 5, 9, 2 * NS) == one.take(OTHER, 5, 9, NS) == 0
    one.forget_plain()
    assert one.take(KEY, 5, 9, NS) == 0
    count_in(one, 5, 9, MINUTE, NS, plain=True)
    one.sum_up()
    count_in(one, 5, 9, MINUTE, NS, plain=True)
    assert one.take(KEY, 5, 9, NS) == 0
    one.sum_up(0, 1)
    count_in(one, 0, 9, MINUTE, NS, plain=True)
    while one.open_in(base):
        one.leave(base)
    for number in range(1, WAYS + 1):
        two.slot(bytes((number,)) * 16, IP, NS, NS + number)
    assert one.take(KEY, 0, 9, NS) == 0


def test_what_is_plain_is_bounded(tables):
    """However many keys come, a bounded number of them has a short way."""
    (table,) = tables(1, buckets=2)
    for number in range(KNOWN + 10):
        table.make_plain(number.to_bytes(16), slot(table), 0, 0, NS)
    assert 0 < len(table._plain) <= KNOWN


def test_a_window_begins_with_the_first_after_rest(tables):
    """After two windows of silence nothing is left, and the next one who comes begins a whole window."""
    one, two = tables(2)
    base = slot(one, window=NS)
    now = 7 * NS
    for round_ in range(5):
        start = now + round_ * 3 * NS + round_ * 137_000_001
        passed = [view.count(base, 10, NS, start + step * NS // 100) for step in range(30) for view in (one, two)]
        assert sum(passed) == 10
        assert sum(view.count(base, 10, NS, start + NS - 1) for view in (one, two)) == 0


def test_later_windows_are_smoothed(tables):
    """What passed in the window before counts by the part of it that is less than a window ago."""
    (table,) = tables(1)
    base = slot(table, window=NS)
    assert sum(table.count(base, 100, NS, NS) for _ in range(200)) == 100
    assert sum(table.count(base, 100, NS, 2 * NS) for _ in range(200)) == 0
    assert sum(table.count(base, 100, NS, 2 * NS + NS // 4) for _ in range(200)) == 25
    assert sum(table.count(base, 100, NS, 2 * NS + NS // 2) for _ in range(200)) == 25
    assert table.used(base, NS, 2 * NS + NS // 2) == 100
    assert table.used(base, NS, 4 * NS) == 0


def test_seats_are_written_and_read():
    """What a worker is told on its command line is what its supervisor said, and begins with no dash."""
    for seats in (ALONE, Seats(5, 2, 0, 0), Seats(0, 7, 4, 4)):
        assert parse(serialize(seats)) == seats
        assert not serialize(seats).startswith("-")


def test_some_columns_are_summed_and_the_others_are_not(tables):
    """What is open and what passed in other columns counts only for who sums them, and its slots are not taken."""
    views = tables(4, 1)
    base, others = slot(views[0]), views[2:]
    for view in others:
        view.sum_up(2, 2)
    assert all(view.enter(base, 2) and view.count(base, 2, MINUTE, NS) for view in others)
    assert [others[0].open_in(base), others[0].used(base, MINUTE, NS)] == [2, 2]
    assert not others[0].enter(base, 2)
    views[0].sum_up(0, 1)
    assert views[0].enter(base, 1)
    assert [views[0].open_in(base), views[1].open_in(base)] == [1, 3]
    with pytest.raises(ValueError, match="5 columns from 0 of 4"):
        views[0].sum_up(0, 5)


def test_what_is_no_table_has_no_columns():
    """A table says how many columns it has; one that was cut, is of another release, or is none at all has none."""
    fd = create(3, 4)
    assert columns_of(fd) == 3
    os.ftruncate(fd, os.fstat(fd).st_size - 8)
    assert columns_of(fd) == 0
    os.close(fd)
    for spoilt in (H_COLUMNS, H_BUCKETS, H_LAYOUT):
        fd = create(3, 4)
        os.pwrite(fd, b"\xff" * 8, spoilt * 8)
        assert columns_of(fd) == 0
        os.close(fd)


def test_a_node_has_columns_for_its_successors():
    """Three processes may count at once, as long as there are columns."""
    assert [columns_for(workers) for workers in (0, 1, 4, 85, 86, 256)] == [3, 3, 12, 255, 256, 256]


# Rates with a burst --------------------------------------------------------------------------------------------------

BUCKET = RatePlan(count=60, window=MINUTE, burst=5)


@pytest.mark.parametrize("seats", [1, 2, 4])
def test_a_burst_passes_at_once_and_then_the_rate(tables, seats):
    """From rest exactly the burst passes, whichever workers are asked, then one each time that one is due."""
    views = tables(seats)
    base, start = slot(views[0]), 7 * NS

    def drawn(now):
        return sum(views[turn % seats].draw(base, BUCKET.cost, BUCKET.reach, now) for turn in range(40))

    assert [drawn(start), drawn(start + NS - 1), drawn(start + NS), drawn(start + 3 * NS)] == [5, 0, 1, 2]
    assert drawn(start + 4 * NS + NS // 2) == 1
    assert drawn(start + 5 * NS) == 1  # the half that was over is not lost
    assert drawn(start + 3_600 * NS) == 5


@given(
    count=st.integers(1, 400),
    burst=st.integers(1, 60),
    window=st.sampled_from([NS, 7 * NS, MINUTE]),
    steps=st.lists(st.integers(0, NS), min_size=1, max_size=200),
)
def test_no_time_lets_more_pass_than_burst_and_rate(count, burst, window, steps):
    """Between any two moments at most the burst and what the rate brings have passed, from two workers in turn."""
    rate, fd = RatePlan(count=count, window=window, burst=burst), create(2, 2)
    views = [LimitTable(fd, seat) for seat in (0, 1)]
    try:
        now, passed = NS, []
        for turn, step in enumerate(steps):
            now += step
            if views[turn % 2].draw(views[turn % 2].slot(KEY, IP, window, now), rate.cost, rate.reach, now):
                passed.append(now)
        for first, start in enumerate(passed):
            for last in range(first, len(passed)):
                assert last - first + 1 <= burst + (passed[last] - start) * count / window
    finally:
        for view in views:
            view.close()
        os.close(fd)


def test_what_a_bucket_has_left_is_told(tables):
    """What is used of a burst comes back one by one, who waits as told may pass, and what is put back is there."""
    one, two = tables(2)
    base, now = slot(one), 100 * NS
    assert one.used_of(base, BUCKET, now) == 0
    assert all(one.draw(base, BUCKET.cost, BUCKET.reach, now) for _ in range(5))
    assert [one.used_of(base, BUCKET, now + step * NS) for step in (0, 1, 2, 9)] == [5, 4, 3, 0]
    assert one.used_of(base, BUCKET, now + NS - 1) == 5
    wait = two.wait_of(base, BUCKET, now + NS // 4)
    assert not two.draw(base, BUCKET.cost, BUCKET.reach, now + NS // 4 + wait - 1)
    one.put_back(base, BUCKET.cost)
    assert two.draw(base, BUCKET.cost, BUCKET.reach, now)
    assert two.draw(base, BUCKET.cost, BUCKET.reach, now + NS // 4 + wait)
    assert one.wait_of(base, BUCKET, now + 60 * NS) == 0


def test_who_takes_a_slot_has_a_full_bucket(tables):
    """A key that gets another one's slot has its whole burst, and so has one on a machine that has just begun."""
    (table,) = tables(1, 1)
    base = slot(table, now=1)
    assert sum(table.draw(base, BUCKET.cost, BUCKET.reach, 1) for _ in range(9)) == 5
    for number in range(1, WAYS + 1):
        other = slot(table, bytes([number]) * 16, now=2 + number)
        assert sum(table.draw(other, BUCKET.cost, BUCKET.reach, 2 + number) for _ in range(9)) == 5


def test_what_is_refused_is_not_counted(tables):
    """Who asks again and again is not kept out by asking."""
    (table,) = tables(1)
    base = slot(table, window=NS)
    assert sum(table.count(base, 2, NS, NS + step * NS // 1_000) for step in range(1_000)) == 2
    assert table.used(base, NS, 2 * NS - 1) == 2


def test_a_worker_with_an_older_time_joins_the_window_that_has_begun(tables):
    """A worker that read its clock a moment before another one began a window counts in that window."""
    one, two = tables(2)
    base = slot(one, window=NS)
    now = 50 * NS + 3
    assert one.count(base, 4, NS, now)
    assert sum(two.count(base, 4, NS, now - 1_000) for _ in range(9)) == 3
    assert not one.count(base, 4, NS, now + NS // 2)
    assert not two.count(base, 4, NS, now + NS - 1)


def test_the_wait_is_long_enough(tables):
    """Who waits as long as it is told may pass, and not much longer than needed."""
    (table,) = tables(1)
    base = slot(table)
    assert all(table.count(base, 30, MINUTE, NS) for _ in range(30))
    later = NS + 10 * NS
    wait = table.wait(base, 30, MINUTE, later)
    assert 50 * NS <= wait <= 54 * NS
    assert table.count(base, 30, MINUTE, later + wait)


def test_windows_are_numbered_for_ever(tables):
    """A client that never rests is still limited when the numbers of windows begin again."""
    (table,) = tables(1)
    base = slot(table, window=NS, now=0)
    for number in (0, 1, TAG_MASK - 1, TAG_MASK, TAG_MASK + 1, TAG_MASK + 2):
        assert sum(table.count(base, 3, NS, number * NS) for _ in range(9)) <= 3
    assert table.used(base, NS, (TAG_MASK + 2) * NS) == 3


# Slots ---------------------------------------------------------------------------------------------------------------


def test_keys_of_other_kinds_are_other_keys(tables):
    """A user, a route and an address that are written alike are three keys, and other nodes have others."""
    (table,), (foreign,) = tables(1), tables(1)
    keys = {table.key(kind, "alice") for kind in range(1, 5)} | {foreign.key(USER, "alice")}
    assert len(keys) == 5
    assert table.key(USER, "alice") == table.key(USER, "alice")


def test_a_full_bucket_takes_the_stalest_slot_without_open_connections(tables):
    """In a table of one bucket the key that was quiet for longest makes room; one with open connections never does."""
    (table,) = tables(1, buckets=1)
    keys = [bytes((number,)) * 16 for number in range(1, WAYS + 3)]
    bases = {key: table.slot(key, IP, NS, NS + number) for number, key in enumerate(keys[:WAYS])}
    assert len(set(bases.values())) == WAYS
    assert table.enter(bases[keys[0]], 9)
    assert table.slot(keys[WAYS], IP, NS, 20 * NS) == bases[keys[1]]
    assert table.slot(keys[0], IP, NS, 20 * NS) == bases[keys[0]]
    assert table.slot(keys[1], IP, NS, 20 * NS) == bases[keys[2]]
    assert table.open_in(bases[keys[0]]) == 1


def test_where_all_have_open_connections_a_key_is_not_counted(tables):
    """A bucket whose every slot is in use gives none, and the worker counts how often."""
    _, table = tables(2, buckets=1)
    for number in range(1, WAYS + 1):
        assert table.enter(table.slot(bytes((number,)) * 16, IP, NS, NS), 9)
    assert table.slot(OTHER, IP, NS, 99 * NS) == 0
    assert list(table.words[UNTRACKED : UNTRACKED + 2]) == [0, 1]


def test_who_takes_a_slot_begins_with_nothing(tables):
    """What was counted for the key before is not counted for the next one, in no worker's column."""
    one, two = tables(2, buckets=1)
    for number in range(1, WAYS + 1):
        for view in (one, two):
            base = view.slot(bytes((number,)) * 16, IP, NS, NS)
            assert all(view.count(base, 99, NS, NS + step) for step in range(20))
    base = two.slot(OTHER, IP, NS, NS + NS // 2)
    assert two.used(base, NS, NS + NS // 2) == 0
    assert sum(view.count(base, 5, NS, NS + NS // 2 + step) for step in range(9) for view in (one, two)) == 5


def test_a_slot_that_went_to_another_key_is_not_used_by_memory(tables):
    """A worker that remembers a slot sees that it is another key's now, and looks for its own."""
    one, two = tables(2, buckets=1)
    base = one.slot(KEY, IP, NS, NS)
    for number in range(1, WAYS + 1):
        two.slot(bytes((number,)) * 16, IP, NS, NS + STALE_NS + number)
    assert bytes(one._map[base * 8 : base * 8 + 16]) != KEY
    found = one.slot(KEY, IP, NS, NS + STALE_NS + 50)
    assert bytes(one._map[found * 8 : found * 8 + 16]) == KEY


def test_an_old_slot_is_asked_for_again(tables):
    """After five seconds of silence a slot is used only once the lock has shown that it still is the key's."""
    (table,) = tables(1)
    base = slot(table, now=NS)
    assert slot(table, now=NS + FRESH_NS + 1) == base
    assert table.words[base + 2] == NS + FRESH_NS + 1


def test_a_million_addresses_take_no_more_memory(tables):
    """The table stays as long as it is, a worker remembers a bounded number of keys, and each key gets a slot."""
    (table,) = tables(1, buckets=1_024)
    size = os.fstat(table._fd).st_size
    now = NS
    for number in range(1_000_000 // 8):  # as many as fill the table fifteen times over
        now += 1_000
        base = table.slot(number.to_bytes(16, "big"), IP, MINUTE, now)
        assert base
        assert table.count(base, 300, MINUTE, now)
    assert os.fstat(table._fd).st_size == size
    assert len(table._known) <= KNOWN


@pytest.mark.parametrize("seats", [1, 4, 64, 256])
def test_a_table_is_bounded(seats):
    """However many workers there are, the table has thousands of slots and at most 64 MiB."""
    buckets = buckets_for(seats)
    assert buckets & buckets - 1 == 0
    assert buckets * WAYS >= 8_192
    assert buckets * WAYS * slot_words(seats) * 8 <= 67_108_864


def test_a_seat_that_the_table_has_not():
    """A worker that the table was not made for is refused before it writes."""
    fd = create(2, 1)
    with pytest.raises(ValueError, match="seat 2 of 2"):
        LimitTable(fd, 2)
    os.close(fd)
