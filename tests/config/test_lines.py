"""Lines: pointing at a key in the text that it came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.lines import Lines

TEXT = """\
# a comment with listen = 1
[node]
name = "x"
"work ers" = 3

[[listener]]
listen = ":1"
targets = [
  "a:1",
]
  [listener.users]
  bob = "x"
[[ listener ]]
protocol = "tcp"
listen = ":2"
users.al = "y"
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("node",), 2), (("node", "name"), 3), (("node", "work ers"), 4), (("node", "workers"), 2),
        (("listener", 0), 6), (("listener", 0, "listen"), 7), (("listener", 0, "targets", 0, "address"), 8),
        (("listener", 0, "users", "bob"), 12), (("listener", 1), 13), (("listener", 1, "listen"), 15),
        (("listener", 1, "users", "al"), 16), (("listener", 2), 0), (("nothing",), 0), ((), 0),
    ],
)  # fmt: skip
def test_keys_are_found(key, line):
    """A key is found on its line, one that is missing on the line of its table, and what is nowhere on line 0."""
    assert Lines(TEXT).find(key) == line


@given(st.text(alphabet="[]\"'=.ab #\n", max_size=200))
def test_any_text_has_lines(text):
    """Any text can be searched, and what is found lies inside it."""
    lines = Lines(text)
    for key in (("a",), ("a", "b"), ("a", 0, "b")):
        assert 0 <= lines.find(key) <= text.count("\n") + 1
