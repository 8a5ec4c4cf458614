"""What an operator reads."""

import io
import json

import pytest

from penstock.base.clock import NS
from penstock.node.log import Allowance, make_log


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
