"""`penstock history`."""

import csv
import io
import json

import pytest

from penstock.cli import history as module
from penstock.cli.client import NodeClient
from penstock.cli.history import line, outcome, read


def test_a_table_for_people(penstock, node):
    """Each ended connection is a line, the newest first; its destination is what was asked for, or else the target."""
    node.end(destination="example.org:443", user="ann", listener="egress")
    node.end(ended_by="proxy", phase="negotiate", reason="auth", duration=0.2)
    result = penstock("history")
    assert (result.exit_code, result.stderr) == (0, "")
    heading, newest, oldest = result.stdout.splitlines()
    assert heading.split() == [
        "Ended", "Client", "Listener", "Destination", "User", "Outcome", "In", "Out", "Requests", "Lasted",
    ]  # fmt: skip
    assert oldest.split() == [
        "2026-01-01T00:03:12Z", "192.0.2.7:40000", "egress", "example.org:443", "ann", "complete", "2.00", "KiB",
        "1.00", "MiB", "0", "3m12s",
    ]  # fmt: skip
    assert "example.com:80" in newest
    assert "proxy in negotiate: auth" in newest


def test_a_hundred_unless_told_otherwise(penstock, node):
    """A table holds the newest hundred and says how many more there are; --limit and --all say otherwise."""
    for _ in range(130):
        node.end()
    result = penstock("history")
    assert len(result.stdout.splitlines()) == 101
    assert result.stderr == "30 more; --all shows all\n"
    assert len(json.loads(penstock("history", "--json").stdout)) == 100
    assert [each["number"] for each in json.loads(penstock("history", "--limit", "2", "--json").stdout)] == [130, 129]
    for words in (("--all",), ("--limit", "0"), ("--all", "--limit", "5")):
        assert len(json.loads(penstock("history", "--json", *words).stdout)) == 130


def test_all_pages_are_read(node, monkeypatch):
    """More than a page holds is read page by page, each once, and never more than was asked for."""
    monkeypatch.setattr(module, "PAGE", 10)
    monkeypatch.setattr(module, "LARGEST_PAGE", 10)
    for _ in range(25):
        node.end()
    client = NodeClient(str(node.path))
    found, total = read(client, {}, None)
    assert ([each["number"] for each in found], total) == (list(range(25, 0, -1)), 25)
    found, total = read(client, {}, 14)
    assert ([each["number"] for each in found], total) == (list(range(25, 11, -1)), 25)
    assert [query.get("cursor") for _, _, query in node.asked] == [None, "16", "6", None, "16"]
    assert [query["limit"] for _, _, query in node.asked] == ["10", "10", "10", "10", "4"]


def test_every_filter_is_asked_of_the_node(penstock, node):
    """Filters go to the node by its own names: ages with their minus, sizes in bytes."""
    words = {
        "client": "192.0.2.0/24", "user": "ann", "destination": "*.example.org", "route": "r", "listener": "l",
        "target": "t:1", "ended-by": "client", "phase": "relay", "close-reason": "client_closed", "reason": "auth",
        "since": "5m", "until": "2026-01-01T00:00:00Z", "min-bytes": "10KiB", "min-duration": "1.5s",
    }  # fmt: skip
    flags = [part for name, value in words.items() for part in (f"--{name}", value)]
    assert penstock("history", *flags, "--limit", "7").exit_code == 0
    ((_, _, query),) = node.asked
    expected = {name.replace("-", "_"): value for name, value in words.items()}
    assert query == expected | {"since": "-5m", "min_bytes": "10240", "limit": "7"}


@pytest.mark.parametrize(("given", "asked"), [("-5m", "-5m"), ("5m", "-5m"), ("0.5s", "-0.5s"), ("soon", "soon")])
def test_ages_with_and_without_a_minus(penstock, node, given, asked):
    """How long ago needs no minus and may have one; what is no time is the node's to refuse."""
    penstock("history", "--since", given)
    assert node.asked[0][2]["since"] == asked


@pytest.mark.parametrize(
    "words",
    [("--phase", "Relay"), ("--min-bytes", "10 parsecs"), ("--limit", "-1"), ("--follow", "-o", "csv"),
     ("--follow", "-o", "yaml"), ("--count", "0"), ("extra",)],
)  # fmt: skip
def test_wrong_usage(penstock, node, words):
    """A word that there is not, no size, a stream in a form that has an end: wrong usage, and nobody is asked."""
    result = penstock("history", *words)
    assert (result.exit_code, node.asked) == (2, [])


def test_what_the_node_refuses_is_said(penstock, node):
    """A filter that the node cannot read is an error in its words."""
    node.refusal = (400, {"title": "Bad Request", "detail": "client='x': an address is needed"})
    result = penstock("history", "--client", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "an address is needed" in result.stderr


def test_csv_and_empty(penstock, node):
    """CSV holds the door's own fields, safe for spreadsheets; without records it is empty, and JSON an empty list."""
    assert penstock("history", "-o", "csv").stdout == ""
    assert json.loads(penstock("history", "--json").stdout) == []
    node.end(user="=1+1")
    (row,) = csv.DictReader(io.StringIO(penstock("history", "-o", "csv").stdout))
    assert (row["bytes_out"], row["user"]) == ("1048576", "'=1+1")


# Following ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def follow(penstock, node, monkeypatch):
    """Return a function that follows, while `steps` happen one after the other before each look."""

    def go(*words, steps=()):
        rest = iter(steps)

        def sleep(_):
            next(rest)()

        monkeypatch.setattr(module.time, "sleep", sleep)
        return penstock("history", "--follow", *words)

    return go


def test_each_ending_is_told_once(follow, node):
    """What ends from now on comes as lines of JSON, oldest first, each once, whatever a page holds."""
    node.end()

    def burst():
        for _ in range(3):
            node.end()

    result = follow("--json", "--count", "7", steps=[burst, lambda: None, node.end, burst])
    assert [json.loads(each)["number"] for each in result.stdout.splitlines()] == [2, 3, 4, 5, 6, 7, 8]
    assert result.exit_code == 0


def test_a_burst_longer_than_a_page(follow, node, monkeypatch):
    """More endings in a second than a page holds are read at once, without waiting."""
    monkeypatch.setattr(module, "PAGE", 2)

    def burst():
        for _ in range(5):
            node.end()

    result = follow("--json", "--count", "5", steps=[burst])
    assert [json.loads(each)["number"] for each in result.stdout.splitlines()] == [1, 2, 3, 4, 5]


def test_older_ones_first(follow, node):
    """With --limit so many older ones come first, and no ending is told twice or left out between the two."""
    for _ in range(5):
        node.end()
    result = follow("--json", "--limit", "2", "--count", "3", steps=[node.end])
    assert [json.loads(each)["number"] for each in result.stdout.splitlines()] == [4, 5, 6]


def test_only_what_was_asked_for_is_followed(follow, node):
    """Filters hold for what is followed, and others are not looked at again."""
    steps = [lambda: node.end(user="bob"), lambda: node.end(user="ann"), lambda: node.end(user="ann")]
    result = follow("--user", "ann", "--json", "--count", "2", steps=steps)
    assert [json.loads(each)["number"] for each in result.stdout.splitlines()] == [2, 3]
    assert [query.get("after") for _, _, query in node.asked] == [None, "0", "0", "1", "2"]


def test_what_was_missed_is_said(follow, node):
    """Where more ended in a second than the node keeps, how many were lost stands on standard error."""
    node.kept = 2

    def burst():
        for _ in range(5):
            node.end()

    result = follow("--json", "--count", "2", steps=[burst])
    assert [json.loads(each)["number"] for each in result.stdout.splitlines()] == [4, 5]
    assert result.stderr == "3 left the node's memory before they could be read\n"


def test_lines_of_text(follow, node):
    """Without --json each ending is a line of text."""
    result = follow("--count", "1", steps=[lambda: node.end(destination="example.org:443", user="ann")])
    assert result.stdout == (
        "2026-01-01T00:03:12Z  192.0.2.7:40000  example.org:443  ann  complete  2.00 KiB  1.00 MiB  3m12s\n"
    )


def test_a_node_that_goes_away(follow, node):
    """When the node is gone, following ends as every command does that reaches none."""
    assert follow(steps=[node.stop]).exit_code == 69


# Texts ----------------------------------------------------------------------------------------------------------------


def test_hostile_texts_stay_text(penstock, node):
    """A user who is called like an escape sequence moves no cursor, in a table or a line."""
    node.end(user="\x1b[2J", destination="x\r\ny:1")
    for text in (penstock("history").stdout, line(node.ended[0])):
        assert "\\x1b[2J" in text
        assert "x\\r\\ny:1" in text


def test_wide_terminals_show_more(penstock, node):
    """A narrow terminal gets the columns that tell most, a wide one all of them; no line is longer than either."""
    node.end(destination="a-very-long-name-of-a-host.in-some-domain.example.org:44300", user="somebody")
    narrow = penstock("history", env={"COLUMNS": "80"}).stdout.splitlines()
    wide = penstock("history", env={"COLUMNS": "160"}).stdout.splitlines()
    assert "User" not in narrow[0]
    assert "User" in wide[0]
    assert max(map(len, narrow)) <= 80
    assert max(map(len, wide)) <= 160


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (("complete", "done", ""), "complete"),
        (("client", "relay", ""), "client in relay"),
        (("proxy", "decide", "quota"), "proxy in decide: quota"),
    ],
)
def test_outcomes_in_words(how, text):
    """An outcome is told in few words, its reason with it."""
    assert outcome(dict(zip(("ended_by", "phase", "reason"), how, strict=True))) == text
