"""What nobody can catch is one line for the supervisor; what any client can cause is none."""

import ssl
import sys
from types import SimpleNamespace

import pytest

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.tls_plan import TlsPlan
from penstock.dataplane.unraisable import DETAIL_CHARS, Unraisable
from penstock.testing.certificates import Authority
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import bench, listener

NAME = "name.example"


def hello(name: bytes) -> bytes:
    """Return a client's hello that asks for a name as long as NAME, of any bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read().replace(NAME.encode(), name)


def raised(error: Exception, whose: object) -> SimpleNamespace:
    """Return what Python says of an error that it cannot raise."""
    return SimpleNamespace(exc_type=type(error), exc_value=error, exc_traceback=None, err_msg=None, object=whose)


@pytest.mark.parametrize("inside", ["tcp", "http"])
def test_a_name_that_is_not_ascii_is_the_clients_fault(tmp_path, monkeypatch, inside):
    """A client that asks for such a name gets an alert, its connection says why, and nobody else hears of it."""
    said, seen = [], []
    hook = Unraisable(said.append)
    monkeypatch.setattr(sys, "unraisablehook", lambda args: (seen.append(type(args.exc_value)), hook(args)))
    tls = TlsPlan(certificates=(Authority(tmp_path).issue(NAME),))
    with serving(echo) as target, bench(listener("main", inside, target.port, tls=tls, reverse=True)) as plane:
        with plane.connect() as client:
            client.sendall(hello(b"na\xffe.ex\xc3\xa4ple"))
            assert read_all(client)[:1] == b"\x15"
        row = plane.ended()[0]
    assert seen == [UnicodeDecodeError]
    assert said == []
    assert row.outcome == Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)
    assert row.texts[2] == "no TLS: the name that was asked for is no host name"


def test_other_errors_are_one_bounded_line():
    """Whatever an error says, it is one line of bounded length."""
    said = []
    Unraisable(said.append)(raised(ValueError("a\nb" + "x" * 10_000), print))
    (notice,) = said
    assert notice.level == "error"
    assert notice.detail.startswith("ValueError: a b")
    assert len(notice.detail) == DETAIL_CHARS


def test_an_error_that_cannot_be_shown_is_told_all_the_same():
    """An object whose repr fails, as half-destroyed ones do, costs the line its words and nothing more."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    said = []
    Unraisable(said.append)(raised(KeyError("k"), Broken()))
    assert said[0].detail == "KeyError, of which nothing can be said: RuntimeError"
