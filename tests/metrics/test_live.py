"""Views of open connections."""

import pytest

from penstock.base.clock import NS
from penstock.base.outcomes import Phase
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import STATE
from penstock.metrics.live import Live, Place, Share, number_of, rfc3339
from penstock.metrics.scopes import Scopes
from penstock.testing.pen import Pen
from penstock.testing.standin import EGRESS, WEB

WALL = 1_700_000_000 * NS
NOW = 500 * NS


@pytest.fixture
def pens():
    """Two workers' ledgers."""
    pens = [Pen(pid=71), Pen(pid=72)]
    yield pens
    for pen in pens:
        pen.close()


@pytest.fixture
def look(pens):
    """Reads both ledgers."""
    readers = [LedgerReader(pen.fd, generation) for generation, pen in enumerate(pens, start=1)]
    return lambda: Live([Share(r, r.fold().rows) for r in readers], Scopes((WEB, EGRESS)), NOW, WALL)


def test_a_view_tells_all(pens, look):
    """A connection is shown with its names, its words, its numbers, its age and its worker."""
    row = pens[1].open(listener=2, client=("2001:db8::9", 50_000), now_ns=NOW - 5 * NS // 2)
    pens[1].describe(row, "example.org:443", "ada")
    pens[1].move(row, 1, 2, 3, 4, 5)
    pens[1].aim(row, 2, 0)
    (view,) = look().page().connections
    assert view.id == (2 << 32) + 1
    assert (view.client, view.listener, view.route, view.target) == ("[2001:db8::9]:50000", "egress", "out", "")
    assert (view.destination, view.user, view.state) == ("example.org:443", "ada", "relay")
    assert (view.bytes_in, view.bytes_out, view.target_rx, view.target_tx, view.requests) == (1, 2, 3, 4, 5)
    assert (view.started_at, view.age, view.worker) == ("2023-11-14T22:13:17.500Z", 2.5, 72)


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (0, "negotiate"),
        (Phase.DETECT, "detect"),
        (Phase.NEGOTIATE, "negotiate"),
        (Phase.DECIDE, "negotiate"),
        (Phase.DIAL, "dial"),
        (Phase.RELAY, "relay"),
        (Phase.DRAIN, "relay"),
        (77, "negotiate"),
    ],
)
def test_states(pens, look, phase, state):
    """Every phase, and nonsense too, reads as one of the four published states."""
    pens[0].open(phase=phase)
    assert look().page().connections[0].state == state


def test_pages_hold_each_connection_once(pens, look):
    """Following `next` from page to page shows every connection of every worker once, by rising id."""
    for number in range(23):
        pens[number % 2].open()
    live, after, seen = look(), 0, []
    for _ in range(10):
        page = live.page(after=after, limit=5)
        assert page.total == 23
        seen += [view.id for view in page.connections]
        if page.next is None:
            break
        after = page.next
    assert seen == sorted(set(seen))
    assert len(seen) == len(live) == 23


def test_a_full_last_page_has_no_next(pens, look):
    """Where the page ends with the last connection, there is no next page."""
    for _ in range(4):
        pens[0].open()
    assert look().page(limit=4).next is None
    assert look().page(limit=3).next is not None


def test_only_those_of_a_listener(pens, look):
    """A filter shows and counts one listener's connections."""
    for number in range(6):
        pens[0].open(listener=1 + number % 2)
    page = look().page(listener=2, limit=2)
    assert [view.listener for view in page.connections] == ["egress"] * 2
    assert page.total == 3


def test_busiest_first(pens, look):
    """By bytes, the connection that moved most is first, whichever worker has it, and no next page is offered."""
    for number, moved in enumerate((5, 50, 500, 10**12)):
        pens[number % 2].move(pens[number % 2].open(), moved, moved)
    page = look().page(limit=3, busiest=True)
    assert [view.bytes_in for view in page.connections] == [10**12, 500, 50]
    assert (page.next, page.total) == (None, 4)


def test_ended_connections_are_not_shown(pens, look):
    """What has ended is not live, not found and not located."""
    row = pens[0].open()
    live = look()
    assert live.find(number_of(1, 1)).id == number_of(1, 1)
    assert live.locate(number_of(1, 1)) == Place(1, 1)
    pens[0].end(row)
    live = look()
    assert live.page() == ([], None, 0)
    assert live.find(number_of(1, 1)) is None
    assert live.locate(number_of(1, 1)) is None
    assert live.locate(number_of(9, 1)) is None


def test_numbers_are_those_of_the_tick(pens, look):
    """A snapshot does not move: what is added later shows in the next one only."""
    row = pens[0].open()
    pens[0].move(row, 10)
    live = look()
    pens[0].move(row, 90)
    assert live.page().connections[0].bytes_in == 10
    assert look().page().connections[0].bytes_in == 100


def test_ids_stay_below_2_to_53(pens, look):
    """After any number of respawns and connections an id is one that JavaScript keeps whole, and leads back."""
    assert number_of(2**21 - 1, 2**32 - 1) == 2**53 - 1
    assert number_of(2**21 + 1, 2**32 + 5) == number_of(1, 5)
    row = pens[1].open()
    serial = 2**32 + 5
    pens[1].ledger.words[row + STATE] = serial << 2 | 1
    live = look()
    (view,) = live.page().connections
    assert view.id == number_of(2, 5)
    assert live.locate(view.id) == Place(2, serial)


def test_each_id_leads_to_its_own_connection(pens, look):
    """Whichever worker and row, an id finds the connection that was listed under it."""
    for number in range(6):
        pens[number % 2].move(pens[number % 2].open(), number)
    live = look()
    views = live.page().connections
    assert [live.find(view.id) for view in views] == views
    assert [live.locate(view.id) for view in views] == [Place(g, s) for g in (1, 2) for s in (1, 2, 3)]


def test_times_are_rfc_3339():
    """Times are in UTC, end with Z, and have three digits of a second."""
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(WALL + NS // 4) == "2023-11-14T22:13:20.250Z"
