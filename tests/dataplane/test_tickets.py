"""Session tickets: as many as clients use."""

import contextlib
import ssl

import pytest

from penstock.config.tls_plan import TlsPlan
from penstock.dataplane.contexts import make_context
from penstock.dataplane.tickets import ONE, STRANGERS, USUAL, Tickets
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import bench, listener, wait_for


@pytest.fixture
def context(authority):
    """What a listener's TLS begins with."""
    plan = TlsPlan(certificates=(authority.issue("localhost"),))
    return make_context(plan, plan.certificates[0])


def shake(context, client_context, session=None):
    """Shake hands in memory and return the client, which has read its tickets."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
    for end in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.read(1)
    return client


@contextlib.contextmanager
def asked_once(plane, comer, name="localhost"):
    """Give a client that has had its answer, and its tickets before it."""
    with plane.connect() as raw, comer.wrap_socket(raw, server_hostname=name) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        yield client


def test_who_comes_back_gets_two(authority, context):
    """A hundred clients of whom nobody resumes make it one ticket; one that resumes, with that one, makes it two."""
    tickets, comer = Tickets(context), authority.client_context()
    for _ in range(STRANGERS - 1):
        shake(context, comer)
        tickets.look()
    assert context.num_tickets == USUAL
    shake(context, comer)
    tickets.look()
    assert context.num_tickets == ONE
    stranger = shake(context, comer)
    assert stranger.session.has_ticket
    assert shake(context, comer, stranger.session).session_reused
    tickets.look()
    assert context.num_tickets == USUAL


def test_some_who_come_back_are_enough(authority, context):
    """While one of a hundred clients resumes, all of them get two."""
    tickets, comer = Tickets(context), authority.client_context()
    for _ in range(3):
        for _ in range(STRANGERS - 2):
            client = shake(context, comer)
        shake(context, comer, client.session)
        tickets.look()
        assert context.num_tickets == USUAL
    tickets.look()
    assert context.num_tickets == USUAL


@pytest.mark.parametrize(("asked", "given"), [(None, ONE), (2, 2), (5, 5), (0, 0)])
def test_workers_look_once_a_second(authority, asked, given):
    """What strangers get follows from who has come, unless the plan says how many; and what they get is served."""
    plan = TlsPlan(certificates=(authority.issue("localhost"),), tickets=asked)
    comer = authority.client_context()
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        (served,) = plane.worker.listeners
        for _ in range(STRANGERS):
            with asked_once(plane, comer):
                pass
        plane.later(2)
        wait_for(lambda: served.contexts.default.num_tickets == given)
        with asked_once(plane, comer) as client:
            assert client.session.has_ticket == bool(given)


@pytest.mark.parametrize("number", [0, 3])
def test_a_number_holds_for_every_certificate(authority, number):
    """Clients get as many whichever certificate they ask for, though it is the first that a handshake begins with."""
    plan = TlsPlan(certificates=(authority.issue("localhost"), authority.issue("other.example")), tickets=number)
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        for name in ("localhost", "other.example"):
            with asked_once(plane, authority.client_context(), name) as client:
                assert client.session.has_ticket == bool(number)
