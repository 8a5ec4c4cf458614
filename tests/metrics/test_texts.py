"""Users and destinations in the rows' texts: read when new, hostile bytes and half-written ones included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.outcomes import Phase
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import HEADER_WORDS, ROW_WORDS, TEXT, TEXT_BYTES, TEXT_LENGTH
from penstock.metrics.scopes import Scopes
from penstock.metrics.texts import DESTINATIONS, TextWatch, split
from penstock.metrics.wording import parse_texts
from penstock.testing.pen import Pen
from penstock.testing.standin import EGRESS, WEB

TARGETS = Scopes((WEB, EGRESS)).targets


def said(told):
    """The key of each row."""
    return [told.keys[number] for number in told.each.tolist()]


class Scene:
    """A ledger, its reader, and who watches its texts."""

    def __init__(self) -> None:
        self.pen = Pen()
        self.reader, self.watch, self.reads = LedgerReader(self.pen.fd, 1), TextWatch(TARGETS), 0

    def told(self):
        """Return users and destinations of the rows that say something new, by row."""
        self.growth = self.reader.fold()
        self.users, self.destinations = self.watch.told(self.growth)
        rows = self.growth.rows.position[self.users.rows].tolist()
        pairs = zip(said(self.users), said(self.destinations), strict=True)
        return dict(zip(rows, pairs, strict=True))


@pytest.fixture
def scene():
    """An empty one."""
    scene = Scene()
    yield scene
    scene.pen.close()


def test_what_is_written_is_told_once(scene):
    """A text is told at the tick after it was written, and never again; destinations in lower case."""
    row = scene.pen.open(2)
    assert scene.told() == {}
    scene.pen.describe(row, "Example.COM:443", "Ann")
    assert scene.told() == {0: ("Ann", "example.com:443")}
    assert scene.told() == {}


def test_another_text_of_the_same_length_is_seen(scene):
    """A client that asks for another host on the same connection is told again, however long the names are."""
    row = scene.pen.open(2)
    scene.pen.describe(row, "one.example:80", "ann")
    scene.told()
    scene.pen.describe(row, "two.example:80", "bob")
    assert scene.told() == {0: ("bob", "two.example:80")}


def test_a_row_that_is_used_again_says_nothing_of_the_last_one(scene):
    """A new connection in an old row has neither the old text nor a mark of it."""
    row = scene.pen.open(2)
    scene.pen.describe(row, "one.example:80", "ann")
    scene.told()
    scene.pen.end(row)
    scene.told()
    scene.told()
    scene.pen.ledger.collect()
    assert scene.pen.open(2) == row
    assert scene.told() == {}
    scene.pen.describe(row, "one.example:80", "ann")
    assert scene.told() == {0: ("ann", "one.example:80")}


def test_a_tcp_connection_goes_to_its_target(scene):
    """Where nothing was asked for, the destination is the target, once it is dialed: before, another may be tried."""
    row = scene.pen.open(1)
    scene.pen.aim(row, 1, 1, phase=Phase.DIAL)
    assert scene.told() == {}
    scene.pen.aim(row, 1, 2)
    assert scene.told() == {0: ("", "[2001:db8::2]:80")}
    early = scene.pen.open(1)
    scene.pen.aim(early, 1, 1, phase=Phase.DIAL)
    scene.pen.end(early)
    assert scene.told() == {1: ("", "192.0.2.10:80")}


def test_what_was_asked_for_counts_before_the_target(scene):
    """A text that names a destination names it, whatever target serves it."""
    row = scene.pen.open(1)
    scene.pen.describe(row, "asked.example:80", "")
    scene.pen.aim(row, 1, 1)
    assert scene.told() == {0: ("", "asked.example:80")}


def test_what_is_half_written_is_read_later(scene):
    """A text without a length, of a worker that is just writing it, is not told, and told when it is whole."""
    row = scene.pen.open(2)
    scene.pen.describe(row, "one.example:80", "ann")
    scene.told()
    words, whole = scene.pen.ledger.words, scene.pen.ledger.words[row + TEXT]
    words[row + TEXT] = (whole | TEXT_LENGTH) + 1
    assert scene.told() == {}
    assert scene.users.ask(scene.growth.rows.position) == [None]
    words[row + TEXT] = (whole | TEXT_LENGTH) + 1 | whole & TEXT_LENGTH
    assert scene.told() == {0: ("ann", "one.example:80")}
    assert scene.destinations.ask(scene.growth.rows.position) == ["one.example:80"]


def test_who_may_still_name_someone(scene):
    """Undecided are open connections that do not relay yet."""
    for phase in Phase:
        scene.pen.open(2, phase=phase)
    scene.pen.end(scene.pen.open(2))
    scene.told()
    assert scene.users.undecided.tolist() == [phase < Phase.RELAY for phase in Phase] + [False]


def text(destination, user, detail):
    """Return a text as `Ledger.describe` writes it."""
    return b"\0".join((destination, user, detail))[:TEXT_BYTES]


@given(st.lists(st.one_of(st.binary(max_size=TEXT_BYTES), st.text(max_size=90).map(str.encode)), max_size=8))
def test_any_bytes_are_read_as_one_by_one(raws):
    """Many texts together are what each of them is alone, whatever bytes they hold."""
    raws = [raw if raw.count(b"\0") >= 2 else text(raw.replace(b"\0", b""), b"ann", b"") for raw in raws]
    one_by_one = [parse_texts(raw) for raw in raws]
    users, destinations = split(raws)
    assert users == [texts.user for texts in one_by_one]
    assert destinations == [texts.destination.lower() for texts in one_by_one]


@given(destination=st.binary(max_size=100), user=st.binary(max_size=30))
def test_keys_can_be_shown(destination, user):
    """A key holds nothing that a terminal would obey, and is no longer than a text."""
    scene = Scene()
    scene.pen.open(2)
    written = text(destination.replace(b"\0", b""), user.replace(b"\0", b""), b"")
    start = (HEADER_WORDS + scene.pen.ledger.rows * ROW_WORDS) * 8
    scene.pen.ledger._map[start : start + len(written)] = written
    scene.pen.ledger.words[HEADER_WORDS + TEXT] = len(written)
    ((found_user, found),) = scene.told().values()
    assert (found_user + found).isprintable()
    assert len(found) + len(found_user) <= TEXT_BYTES
    scene.pen.close()


def test_destinations_are_found_in_any_case():
    """Whoever asks for a destination writes it as he likes; nobody is called nothing."""
    assert DESTINATIONS.parse("EXAMPLE.com:80") == "example.com:80"
    assert DESTINATIONS.parse("") is None
