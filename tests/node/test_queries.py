"""What a request asks for."""

import pytest
from starlette.requests import Request

from penstock.node.problems import Problem
from penstock.node.queries import LARGEST_ID, LONGEST_PAGE, parse_limit, parse_number, take


def asking(query):
    """Return a request with this query."""
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def test_values_are_read():
    """Each value goes through its parser; what is not given is not there."""
    assert take(asking("a=1&b=x"), {"a": parse_number, "b": str, "c": str}) == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("query", "says"),
    [("b=1", "'b' is unknown here; known are: a"), ("a=1&a=2", "a is given twice"), ("a=x", "a='x': a number from 0")],
)
def test_what_is_wrong_is_said(query, says):
    """A name that is unknown or doubled, or a value that cannot be read, is a 400 that says what would be right."""
    with pytest.raises(Problem, match=says) as raised:
        take(asking(query), {"a": parse_number})
    assert raised.value.status_code == 400


def test_bounds():
    """Numbers and limits are taken up to their bounds and not beyond."""
    assert parse_number(str(LARGEST_ID)) == LARGEST_ID
    assert parse_limit(str(LONGEST_PAGE)) == LONGEST_PAGE
    for parse, text in ((parse_number, str(LARGEST_ID + 1)), (parse_limit, "0"), (parse_limit, str(LONGEST_PAGE + 1))):
        with pytest.raises(ValueError, match="a number from"):
            parse(text)
