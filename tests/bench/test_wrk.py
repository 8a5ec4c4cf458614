"""wrk's command line and report."""

import pytest
from bench.scenarios import Wrk

from bench import wrk

CLEAN = """\
Running 1s test @ http://127.0.0.1:9996/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.01ms    1.20ms  13.86ms   77.40%
    Req/Sec    16.70k     1.02k   18.17k    63.64%
  Latency Distribution
     50%  636.00us
     75%    2.51ms
     90%    3.55ms
     99%    1.20s
  18269 requests in 1.10s, 2.86MB read
Requests/sec:  16602.41
Transfer/sec:      2.60MB
"""


def test_clean_report():
    """Answers, length and percentiles are read, with every unit turned to microseconds."""
    assert wrk.parse(CLEAN) == wrk.Report(
        18269, pytest.approx(1.1), {50: 636.0, 75: 2510.0, 90: 3550.0, 99: 1.2e6}, "", 0
    )


def test_errors_are_said():
    """Connect, write, timeout and status errors are errors; read errors are counted apart as cuts."""
    tail = "  Socket errors: connect 3, read 7, write 0, timeout 2\n  Non-2xx or 3xx responses: 5\n"
    report = wrk.parse(CLEAN + tail)
    assert report.errors == "connect 3, timeout 2, status 5"
    assert report.cuts == 7


def test_no_answers_is_an_error():
    """A load without a single answer is an error even if wrk found nothing wrong."""
    assert wrk.parse("  0 requests in 1.00s, 0.00B read\n").errors == "no answers"


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"])
def test_no_report_is_an_error(text):
    """What is no report has no answers and says so."""
    report = wrk.parse(text)
    assert report.requests == 0
    assert report.errors.startswith("no report from wrk")


def test_command_of_a_plain_load():
    """A kept-alive load asks the proxy's address, in whole seconds of at least one."""
    argv = wrk.command(Wrk(4), 0.2, "127.0.0.1:1", "127.0.0.1:2")
    assert argv[-1] == "http://127.0.0.1:1/"
    assert "1s" in argv
    assert not {"-H", "-s"} & set(argv)


def test_command_of_a_varied_load():
    """A load whose heads never repeat has a script that makes each request anew."""
    argv = wrk.command(Wrk(4, absolute=True, varied=True), 3.0, "127.0.0.1:1", "127.0.0.1:2")
    assert str(wrk.VARIED) in argv
    assert wrk.VARIED.exists()


def test_command_of_an_absolute_load():
    """An absolute-form load connects to the proxy and names the origin to the script."""
    argv = wrk.command(Wrk(4, close=True, absolute=True), 3.0, "127.0.0.1:1", "127.0.0.1:2")
    assert argv[argv.index("-H") + 1] == "Connection: close"
    assert argv[-4:] == ["http://127.0.0.1:1/", "--", "http://127.0.0.1:2/", "127.0.0.1:2"]
    assert wrk.ABSOLUTE.exists()


def test_command_of_a_secure_load():
    """A load in TLS asks for the name in the certificate, and for its path."""
    argv = wrk.command(Wrk(4, secure=True, path="/big"), 3.0, "127.0.0.1:1", "127.0.0.1:2")
    assert argv[-1] == "https://localhost:1/big"
