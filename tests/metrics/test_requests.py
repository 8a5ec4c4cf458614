"""Requests by status and duration: exact against a plain model, and kept across a restart."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.base.clock import NS
from penstock.metrics.catalog import REQUEST_BOUNDS
from penstock.metrics.fold import LedgerReader
from penstock.metrics.histogram import SCALE, error_of
from penstock.metrics.ledger import pack_scope
from penstock.metrics.requests import Requests, SavedRequests
from penstock.metrics.saved import MOST, Bins, SavedError, parse, serialize
from penstock.metrics.scopes import Scopes
from penstock.testing.pen import Pen
from penstock.testing.standin import EGRESS, WEB, StandIn

ENDS = st.tuples(
    st.integers(1, 3), st.integers(0, 2), st.sampled_from([0, 100, 200, 404, 599, 999]), st.integers(0, 2**40)
)


@given(st.lists(st.lists(ENDS | st.none(), max_size=30), max_size=5))
@settings(max_examples=50, deadline=None)
def test_totals_are_those_of_a_plain_model(workers):
    """Any requests of any workers, read at any moment (None) and when they die, add up to the model's sums."""
    requests, codes, counts, sums = Requests(Scopes((WEB, EGRESS))), Counter(), Counter(), Counter()
    for ends in workers:
        pen = Pen(rows=1)
        reader = LedgerReader(pen.fd, 1)
        for end in ends:
            if end is None:
                requests.add(reader.fold().tallied)
                assert_equal(requests, codes, counts, sums)
                continue
            listener, route, code, took = end
            pen.ledger.tallies.add(pack_scope(listener, 1, route), code, took)
            names = {1: "web", 2: "egress"}.get(listener, "-"), {1: "default", 2: "out"}.get(route, "-")
            codes[*names, str(code) if code else "-"] += 1
            counts[names] += took > 0
            sums[names] += took
        requests.add(reader.fold(dead=True).tallied)
        pen.close()
        assert_equal(requests, codes, counts, sums)


def test_what_nobody_counted_is_no_series():
    """A dead worker's slots are read whether it used them or not; those that counted nothing name nobody."""
    requests = Requests(Scopes((WEB, EGRESS)))
    before = requests.view()
    pen = Pen(rows=1)
    reader = LedgerReader(pen.fd, 1)
    requests.add(reader.fold(dead=True).tallied)
    pen.close()
    assert requests.view() is before


def assert_equal(requests, codes, counts, sums):
    """Compare totals with the model."""
    view = requests.view()
    assert requests.view() is view
    found_codes, found_counts, found_sums = Counter(), Counter(), Counter()
    for *names, count in view.codes:
        found_codes[tuple(names)] += count
    for *names, found in view.durations:
        found_counts[tuple(names)] += sum(found.counts)
        found_sums[tuple(names)] += found.sum
    assert +found_codes == codes
    assert +found_counts == +counts
    assert +found_sums == pytest.approx({names: total / NS for names, total in sums.items() if total})


def test_bounds_are_kept_within_the_stated_error():
    """A request that is further from a bound than the stated error is counted on the right side of it."""
    requests, pen = Requests(Scopes((WEB,))), Pen(rows=1)
    for bound in REQUEST_BOUNDS:
        for side in (1 - error_of(SCALE), 1 + error_of(SCALE)):
            pen.ledger.tallies.add(pack_scope(1, 0, 1), 200, int(bound * NS * side))
    requests.add(LedgerReader(pen.fd, 1).fold().tallied)
    pen.close()
    ((_, _, found),) = requests.view().durations
    assert found.counts == (1, *[2] * (len(REQUEST_BOUNDS) - 1), 1)


def test_what_the_plan_names_is_there_from_the_start():
    """Every listener with its route has a zero without a status, and an empty histogram."""
    view = Requests(Scopes((WEB, EGRESS))).view()
    assert view.codes == (("web", "default", "-", 0), ("egress", "out", "-", 0))
    assert [sum(found.counts) for *_, found in view.durations] == [0, 0]


def test_percentiles_of_requests():
    """A snapshot's percentiles are within the stated error of numpy's, over all workers together."""
    node, other = StandIn(), Pen()
    node.sampler.attach(2, other.fd)
    took = np.random.default_rng(5).lognormal(14, 2, 4_000).astype(int)
    for place, each in enumerate(took.tolist()):
        (node.pen, other)[place % 2].ledger.tallies.add(pack_scope(1 + place % 3, 0, 1), 200, each)
    found = node.tick().endings.percentiles.request_duration
    exact = np.quantile(took, (0.5, 0.95, 0.99), method="inverted_cdf") / NS
    assert found.count == 4_000
    assert (found.p50, found.p95, found.p99) == pytest.approx(exact.tolist(), rel=error_of(SCALE) + 1e-9)
    node.close()
    other.close()


def counted():
    """Return totals of two listeners, one of them on a route that the plan does not know."""
    requests, pen = Requests(Scopes((WEB, EGRESS))), Pen(rows=1)
    for listener, route, code, took in ((1, 1, 200, 3 * 10**6), (2, 2, 407, 0), (2, 9, 404, 10**9), (1, 1, 200, 10**6)):
        pen.ledger.tallies.add(pack_scope(listener, 0, route), code, took)
    requests.add(LedgerReader(pen.fd, 1).fold().tallied)
    pen.close()
    return requests


def restored(saved, *listeners):
    """Return the totals of a next run."""
    requests = Requests(Scopes(listeners or (WEB, EGRESS)))
    requests.restore(parse(serialize(saved), SavedRequests))
    return requests


def test_totals_continue_after_a_restart():
    """Every count and every duration is what it was, under the same names, whatever their numbers are now."""
    before = counted()
    assert sorted(restored(before.export()).view().codes) == sorted(before.view().codes)
    swapped = restored(before.export(), replace(EGRESS, id=1), replace(WEB, id=2))
    assert ("web", "default", "200", 2) in swapped.view().codes
    for view in (swapped.view(), restored(before.export()).view()):
        durations = {names: found for *names_, found in view.durations if (names := tuple(names_))}
        assert durations["web", "default"].sum == pytest.approx(0.004)
        assert sum(durations["egress", "-"].counts) == 1
    assert restored(restored(before.export()).export()).export() == restored(before.export()).export()


def test_names_that_are_gone_count_for_nobody():
    """A listener that is taken out of the plan stays in the sum."""
    view = restored(counted().export(), WEB).view()
    assert sum(count for *_, count in view.codes) == 4
    assert ("-", "-", "407", 1) in view.codes


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": (1.0,)},
        {"durations": (("web", "default", Bins((1,), 1.0)),)},
        {"durations": (("web", "default", Bins((0,) * 15, 1e300)),)},
        {"codes": (("web", "default", 200, MOST), ("web", "default", 201, MOST))},
    ],
)
def test_what_cannot_be_is_refused_whole(change):
    """Other bounds and numbers beyond belief raise the one documented error, and nothing is added."""
    requests = Requests(Scopes((WEB,)))
    with pytest.raises(SavedError):
        requests.restore(replace(counted().export(), **change))
    assert not any(count for *_, count in requests.view().codes)


def test_a_status_that_is_none_is_refused():
    """What is no status code is no part of what was once written."""
    with pytest.raises(SavedError):
        parse(serialize(replace(counted().export(), codes=(("web", "default", 1_000, 1),))), SavedRequests)


def test_durations_are_left_out_where_they_are_not_wanted():
    """Switched off, durations are not counted and codes are; switched on again they begin at zero."""
    requests, pen = counted(), Pen(rows=1)
    requests.forget_durations()
    pen.ledger.tallies.add(pack_scope(1, 0, 1), 200, 5)
    requests.add(LedgerReader(pen.fd, 1).fold().tallied, timed=False)
    pen.close()
    assert ("web", "default", "200", 3) in requests.view().codes
    assert not any(any(found.counts) or found.sum for *_, found in requests.view().durations)
