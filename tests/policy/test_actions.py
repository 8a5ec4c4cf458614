"""What a handler is told, and what it may say."""

from penstock.policy.actions import Facts, Forward


def test_the_first_value_of_a_field_is_found_in_any_case():
    """A handler asks for a field as it likes to write it."""
    facts = Facts(fields=(("x-team", "blue"), ("x-team", "red")))
    assert facts.field("X-Team") == "blue"
    assert facts.field("x-other") == ""


def test_forward_is_a_value():
    """Places are given one after the other, and two of the same places are equal."""
    assert Forward("a:1", "b:2").to == ("a:1", "b:2")
    assert Forward("a:1") == Forward("a:1")
    assert Forward("a:1") != Forward("b:1")
    assert len({Forward("a:1"), Forward("a:1")}) == 1
    assert repr(Forward("a:1")) == "Forward('a:1')"
