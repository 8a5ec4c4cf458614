"""How a connection comes to its target: who is dialed, who is next when that fails, and what is told of it."""

from _socket import socket as RawSocket
from typing import TYPE_CHECKING

from penstock.base.outcomes import Phase
from penstock.connection.commands import Dial, DialAny, Dialed, DialError, DialFailed
from penstock.connection.endings import ending
from penstock.dataplane.aiming import NOBODY, after_failure, aim_at
from penstock.dataplane.approach import Approach
from penstock.dataplane.dialer import Dial as OneDial
from penstock.dataplane.dialer import literal_family
from penstock.dataplane.introduction import greet
from penstock.dataplane.permit import ERRORS, Permit
from penstock.dataplane.shares import refuse
from penstock.dataplane.straight import Dialer, dial_straight
from penstock.metrics.ledger import DIALED, PHASE, REQUESTS, SCOPE
from penstock.metrics.tallies import NO_CODE

DIAL = Phase.DIAL  # a look-up in an enumeration costs as much as three in a module

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection


def dial_target(connection: "Connection", command: DialAny | None = None) -> None:
    """Dial one of the route's targets."""
    route = connection.route
    connection.tried, connection.asked = (), connection.worker.reactor.now
    if connection.permit is not None and _forbidden(connection, connection.permit):
        return
    if (route.limited or connection.places is not None) and _limited(connection):
        return
    standing = route.next_target(connection.host)
    if standing is None:
        connection.phase = DIAL
        _unreached(connection, DialError.NO_TARGET, NOBODY)
    else:
        aim_at(connection, standing)
        plan = standing.plan
        _begin(connection, plan.host, plan.port)


def dial_one(connection: "Connection", command: Dial) -> None:
    """Dial where the client wants to go."""
    connection.asked = connection.worker.reactor.now
    if connection.permit is not None and _forbidden(connection, connection.permit):
        return
    if (connection.route.limited or connection.places is not None) and _limited(connection):
        return
    _begin(connection, command.host, command.port)


def _forbidden(connection: "Connection", permit: Permit) -> bool:
    """Refuse what access rules do not let this client do; returns whether it was refused."""
    refusal = permit.refuses(connection.described)
    if refusal is None:
        return False
    _unreached(connection, ERRORS[refusal.reason], refusal.detail)
    return True


def _limited(connection: "Connection") -> bool:
    """Refuse what limits of its route or user do not let it do; returns whether it was refused."""
    failed = refuse(connection)
    if failed is not None:
        _fail(connection, failed)
    return failed is not None


def _begin(connection: "Connection", host: str, port: int) -> None:
    worker = connection.worker
    reactor = worker.reactor
    connection.phase = worker.words[connection.row + PHASE] = DIAL
    connection.dial_began = reactor.clock()
    dial_to(connection, connection, host, port)
    if connection.dial is not None:
        connection.arm(reactor.now + (connection.route.connect or worker.connect))


def dial_to(connection: "Connection", owner: Dialer, host: str, port: int) -> None:
    """Dial a target of a connection's route, or where its client wants to go; the owner may be told at once."""
    route = connection.route
    if route.direct or (route.greets and connection.conversation is None):  # `dialed` sends the header then
        permit = None if connection.permit is None else connection.guard(host, port)
        family = literal_family(host)
        if family:
            ask = connection.conversation is None
            dial_straight(connection.worker, owner, family, host, port, permit, ask=ask)
            return
        owner.dial = dial = OneDial(connection.worker, owner, host, port, permit)
        dial.start()
    else:
        owner.dial = Approach(connection, owner, host, port)
        owner.dial.start()


def dialed(connection: "Connection", sock: RawSocket, fd: int, mask: int, address: tuple[str, int]) -> None:
    """The target connection stands."""
    connection.dial = None
    worker = connection.worker
    words, row = worker.words, connection.row
    words[row + DIALED] = worker.reactor.clock() - connection.dial_began
    aimed = connection.aimed
    if aimed is not None:
        aimed.failures = 0
    connection.adopt(sock, fd, mask).watches_out = mask != 0
    if connection.conversation is None:  # answered as REACHED says; the access log knows such clients by their end
        connection.asked = 0
        words[row + REQUESTS] += 1
        worker.tallies.add(words[row + SCOPE], NO_CODE)
        if connection.route.greets:
            greet(connection)
        if connection.row:
            connection.relay()
    else:
        local = sock.getsockname()
        connection.step(Dialed(local[0], local[1], *address))


def dial_failed(connection: "Connection", error: DialError, detail: str) -> None:
    """No address could be reached."""
    connection.dial = None
    other = after_failure(connection, error, detail)
    if other is None:
        _unreached(connection, error, detail)
    else:
        aim_at(connection, other)
        _begin(connection, other.plan.host, other.plan.port)


def _unreached(connection: "Connection", error: DialError, detail: str) -> None:
    _fail(connection, DialFailed(error, detail))


def _fail(connection: "Connection", failed: DialFailed) -> None:
    connection.detail = str(failed)
    if connection.conversation is None:
        connection.close(ending(failed, Phase.DIAL).pack())
    else:
        connection.step(None, failed)
