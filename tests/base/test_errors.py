"""Errors say whose fault they are."""

import pytest

from penstock.base.errors import AddressError, ConfigurationError, PenstockError, RemoteError, StartError


def test_all_mistakes_at_once():
    """A configuration error keeps each mistake apart, and prints one a line."""
    error = ConfigurationError(["penstock.toml: a: wrong", "penstock.toml: b: wrong"])
    assert error.mistakes == ["penstock.toml: a: wrong", "penstock.toml: b: wrong"]
    assert str(error).splitlines() == error.mistakes


@pytest.mark.parametrize("kind", [AddressError, RemoteError, StartError])
def test_one_base_catches_all(kind):
    """Whoever embeds Penstock catches everything that it raises on purpose by one name, with its message."""
    with pytest.raises(PenstockError, match="why"):
        raise kind("why")


def test_a_validator_takes_an_address_error_for_a_value_error():
    """An address error is a ValueError, so that a validator reports it with the key it belongs to."""
    assert issubclass(AddressError, ValueError)
