"""Tests of `penstock.policy.ban_book`."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.ban import Ban
from penstock.policy.ban_book import BanBook
from penstock.policy.ranges import address_number


def ban(network, until=None, **more):
    """Return a ban."""
    return Ban(network=network, origin="manual", reason="x", since=1, until=until, **more)


NETWORKS = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.0/24", "2001:db8::/64"])


@given(st.lists(st.tuples(NETWORKS, st.one_of(st.none(), st.integers(1, 30)), st.integers(0, 3)), max_size=60))
def test_it_holds_what_a_dictionary_would(orders):
    """After any bans, liftings and passing of time there is what was not lifted and is not over."""
    book, model, now = BanBook(100), {}, 0
    for network, until, what in orders:
        if what == 0:
            assert (book.remove(network) is not None) == (model.pop(network, "no") != "no")
        elif what == 1:
            now += 3
            over = {name for name, end in model.items() if end is not None and end <= now}
            assert {each.ban.network for each in book.expire(now)} == over
            model = {name: end for name, end in model.items() if name not in over}
        else:
            assert book.put(ban(network, until)) is not None
            model[network] = until
    assert {each.ban.network: each.ban.until for each in book} == model


def test_a_full_book_takes_no_more_but_changes_what_it_has():
    """Room is a limit, and saying something anew needs none."""
    book = BanBook(2)
    assert book.put(ban("192.0.2.1"))
    assert book.put(ban("192.0.2.2"))
    assert book.put(ban("192.0.2.3")) is None
    assert book.put(ban("192.0.2.2", 9)).ban.until == 9


def test_all_bans_of_an_address_are_found():
    """Its own and those of networks around it."""
    book = BanBook(9)
    for each in ("192.0.2.1", "192.0.2.0/24", "192.0.2.2", "2001:db8::/64"):
        book.put(ban(each))
    assert [each.ban.network for each in book.holding(address_number("192.0.2.1"))] == ["192.0.2.1", "192.0.2.0/24"]
    assert [each.ban.network for each in book.holding(address_number("2001:db8::7"))] == ["2001:db8::/64"]


def test_saying_it_again_and_again_costs_no_memory():
    """Ends of bans that were replaced are forgotten."""
    book = BanBook(9)
    for number in range(10_000):
        book.put(ban("192.0.2.1", 10**6 + number))
    assert len(book._ends) < 100
    assert book.expire(10**6 + 9_998) == []
    assert len(book.expire(10**6 + 9_999)) == 1


def test_pages_follow_each_other():
    """Going on where a page ended shows each ban once."""
    book = BanBook(99)
    for number in range(10):
        book.put(ban(f"192.0.2.{number}"))
    found, after = [], ""
    while after is not None:
        page, after = book.page(book, after, 4)
        found += [each.network for each in page]
    assert found == [f"192.0.2.{number}" for number in range(10)]


def test_what_waits_for_a_confirmation_is_told():
    """And it is over when nobody confirms."""
    book = BanBook(9)
    book.put(ban("192.0.2.1", 100, confirm_by=50))
    book.put(ban("192.0.2.2", 100))
    assert [each.ban.network for each in book.waiting()] == ["192.0.2.1"]
    assert [each.ban.network for each in book.expire(50)] == ["192.0.2.1"]
