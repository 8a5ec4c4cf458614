"""How far a ledger was read."""

import pytest
from msgspec import ValidationError, msgpack

from penstock.metrics.resumed import SavedReader


def test_another_version_is_not_understood():
    """What is written is read again; a struct of another version is an error, and no guess."""
    saved = SavedReader(
        magic=1, generation=2, state=b"s", base=b"b", target=b"t", routed=b"r", tallies=b"", counted={3: 4}
    )
    raw = msgpack.encode(saved)
    assert msgpack.decode(raw, type=SavedReader) == saved
    other = msgpack.encode(msgpack.decode(raw) | {"version": 2})
    with pytest.raises(ValidationError):
        msgpack.decode(other, type=SavedReader)
