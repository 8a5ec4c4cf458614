"""Minutes as rows."""

from penstock.metrics.rollups import Minute, Row, row, split, thinned


def test_names_have_a_kind_and_a_key():
    """A target's address keeps its colons, and the node has no key."""
    for name in ("node", "listener:web", "target:[2001:db8::2]:80"):
        kind, key = split(name)
        assert Row(kind, key, 0, 0, 0, 0).name == name
    assert split("target:[2001:db8::2]:80") == ("target", "[2001:db8::2]:80")


def test_a_row_has_the_columns_of_trackers():
    """Bytes in, bytes out, requests and connections stand where they are called so."""
    assert row("node", 1, 2, 3, 4) == Row("node", "", connections=4, requests=3, bytes_in=1, bytes_out=2)


def test_clients_become_one_without_losing_a_byte():
    """A minute that has to be made small keeps its sums; names of listeners stay."""
    rows = (Row("node", "", 1, 2, 3, 4), Row("client", "192.0.2.1", 1, 2, 3, 4), Row("client", "other", 10, 20, 30, 40))
    thin = thinned(Minute(60, 60_000, (*rows, Row("user", "ann", 5, 0, 0, 0))))
    assert thin.rows == (rows[0], Row("client", "other", 11, 22, 33, 44), Row("user", "other", 5, 0, 0, 0))
    assert (thin.at, thin.covered) == (60, 60_000)
    assert thinned(Minute(60, 1, rows[:1])).rows == rows[:1]
