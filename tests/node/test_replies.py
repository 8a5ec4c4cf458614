"""Answers in JSON."""

from msgspec import Struct

from penstock.node.replies import reply


class View(Struct):
    """Something that is shown."""

    name: str


def test_a_view_is_json():
    """With its media type, and the status that is asked for."""
    answer = reply({"views": [View("a")]}, 201)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    assert answer.body == b'{"views":[{"name":"a"}]}'
    assert reply(None).status_code == 200
