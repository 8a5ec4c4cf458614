"""Keys of later releases: none of them is a key of this one."""

import pytest

from penstock.config.later import KEYS, VALUES, is_later
from penstock.config.translate import table_of


@pytest.mark.parametrize("key", sorted(KEYS))
def test_no_later_key_is_here_already(key):
    """A key that this release knows does not stand in the list of later ones, and its table is known."""
    table = table_of(key[:-1])
    assert table is not None
    assert key[-1] not in table.model_fields


@pytest.mark.parametrize("key", sorted(VALUES))
def test_later_values_belong_to_keys_of_today(key):
    """A later value belongs to a key that there is."""
    assert key[-1] in table_of(key[:-1]).model_fields


def test_numbers_of_items_do_not_matter():
    """The key of any item of a list is recognised."""
    assert is_later(("listener", 7, "timeouts"))
    assert is_later(("listener", 7, "detect", 0), "tls")
    assert not is_later(("listener", 7, "detect", 0), "tcp")
    assert not is_later(("listener", 7, "detect", 0), ["tls"])
