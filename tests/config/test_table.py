"""What all tables share: closed keys, holes that are kept, and lists that may be written as one value."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from penstock.config.table import HOLE, OneOrMore, Table, known, written


class Numbers(Table):
    """A table for these tests."""

    few: Annotated[list[int], OneOrMore()] = Field(default=[])
    word: str = written("a", "A word.")


def test_one_value_is_a_list_of_it():
    """A single value reads as the list that holds it; a list stays one."""
    assert Numbers.model_validate({"few": 3}).few == [3]
    assert Numbers.model_validate({"few": [3, 4]}).few == [3, 4]
    assert Numbers.model_json_schema()["properties"]["few"]["anyOf"][0] == {"type": "integer"}


@pytest.mark.parametrize("tree", [{"few": {}}, {"few": ["x"]}, {"few": "x"}, {"words": 1}, {"word": 1}])
def test_nothing_is_guessed(tree):
    """Unknown keys and values of other types are refused."""
    with pytest.raises(ValidationError):
        Numbers.model_validate(tree)


def test_holes_are_kept():
    """A hole stands wherever a value does, and is known to be one."""
    table = Numbers.model_validate({"few": HOLE, "word": HOLE})
    assert not known(table.few)
    assert not known("x", table.word)
    assert known(HOLE) is False
    assert repr(HOLE) == "HOLE"
