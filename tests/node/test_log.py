"""What an operator reads."""

import io
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.processors import LogfmtRenderer

from penstock.base.clock import NS
from penstock.node.log import Allowance, logfmt, make_log, tame

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_json_is_one_object_a_line():
    """Each event is one JSON object with its time, level and words, whatever it contains."""
    stream = io.StringIO()
    make_log("info", "json", stream).warning("worker died", how="exit 3", detail="two\nlines")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["timestamp"].endswith("Z")
    assert (event["level"], event["event"], event["how"]) == ("warning", "worker died", "exit 3")
    assert event["detail"] == "two\\nlines"


def test_console_away_from_a_terminal_is_logfmt():
    """In a file or a pipe the console format is plain key=value pairs, which scripts can read."""
    stream = io.StringIO()
    make_log("info", "console", stream).info("worker ready", worker=1)
    assert stream.getvalue().split(" ", 1)[1] == 'level=info event="worker ready" worker=1\n'


@given(st.dictionaries(st.sampled_from("abcde"), VALUES), VALUES)
def test_logfmt_is_what_others_write(fields, value):
    """Any event is written as structlog would have written it."""
    event = tame({**fields, "event": value})
    assert logfmt(event, ("event",)) == LogfmtRenderer(key_order=["event"])(None, "", dict(event))


def test_fields_that_a_log_is_bound_to_are_said_with_each_event():
    """What was bound comes with each event, gives way to its own fields, and stays out of the log it came from."""
    stream = io.StringIO()
    log = make_log("info", "json", stream)
    bound = log.bind(kind="influx", to="a").bind(to="b")
    bound.info("x", more=1)
    bound.info("y", kind="z")
    log.info("w")
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(each.get("kind"), each.get("to"), each.get("more")) for each in said] == [
        ("influx", "b", 1),
        ("z", "b", None),
        (None, None, None),
    ]


def test_what_is_no_text_is_written_all_the_same():
    """A value that JSON does not know is written as Python shows it, and line ends in it are escaped."""
    stream = io.StringIO()
    make_log("info", "json", stream).info("x", error=OSError(5, "a\nb"))
    assert json.loads(stream.getvalue())["error"] == "OSError(5, 'a\\nb')"
    assert logfmt({"event": OSError("a\nb")}, ()) == "event=a\\nb"


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honoured(environ, coloured):
    """A terminal gets colours unless NO_COLOR is set and not empty."""
    stream = Terminal()
    make_log("info", "console", stream, environ).info("worker ready")
    assert ("\x1b[" in stream.getvalue()) == coloured


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_clients_cannot_write_to_the_terminal(form, stream):
    """Line ends and escape sequences that a client chose are escaped in every format: one event is one line."""
    out = stream()
    make_log("info", form, out, {"NO_COLOR": "1"}).info("x", destination="\x1b[2Jfake\nlevel=error \x9b1m\u202e")
    assert out.getvalue().count("\n") == 1
    assert not set(out.getvalue()) & {"\x1b", "\x9b", "\u202e"}


def test_who_has_no_terminal_loads_nothing_for_colours():
    """A node that says what it does to a file or a pipe has no use for what draws on terminals."""
    program = (
        "import io, sys, penstock.node.run; from penstock.node.log import make_log\n"
        "[make_log('info', form, io.StringIO()).info('x') for form in ('console', 'json')]\n"
        "heavy = {'structlog', 'rich', 'pygments'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_level_leaves_out_what_is_below():
    """At `warning` there is no info."""
    stream = io.StringIO()
    log = make_log("warning", "json", stream)
    log.info("quiet")
    log.error("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_a_broken_stream_stops_nobody():
    """A log that nobody can take any more is lost, and the proxy goes on."""
    stream = io.StringIO()
    log = make_log("info", "json", stream)
    stream.close()
    log.error("nobody hears this")


def test_allowance_is_renewed_each_second():
    """A talkative source has so many lines a second, and the rest is counted once."""
    allowance = Allowance(2)
    assert [allowance.take(NS) for _ in range(5)] == [True, True, False, False, False]
    assert allowance.take(2 * NS)
    assert (allowance.take_skipped(), allowance.take_skipped()) == (3, 0)
