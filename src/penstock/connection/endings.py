"""How a connection ends that ends by itself: the phase that commands bring, and the outcome of an escaped exception."""

from collections.abc import Mapping
from types import MappingProxyType

from penstock.base.errors import RemoteError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.connection import commands
from penstock.connection.commands import ClientClosed, DeadlinePassed, DialError, DialFailed, TooLong

PHASES: Mapping[type[commands.Command], Phase] = MappingProxyType(
    {
        commands.Peek: Phase.DETECT,
        commands.Need: Phase.NEGOTIATE,
        commands.Until: Phase.NEGOTIATE,
        commands.Secure: Phase.NEGOTIATE,
        commands.Decide: Phase.DECIDE,
        commands.Dial: Phase.DIAL,
        commands.DialAny: Phase.DIAL,
        commands.RelayAny: Phase.DIAL,
        commands.Bind: Phase.DIAL,
        commands.Await: Phase.DIAL,
        commands.Associate: Phase.DIAL,
        commands.Exchange: Phase.RELAY,
        commands.Relay: Phase.RELAY,
        commands.Datagrams: Phase.RELAY,
    }
)
"""The phase that each command begins. What is not here (`Send`, `Take`, `Describe`, `Close`) leaves it as it is."""

DOCUMENTED = (ClientClosed, DeadlinePassed, TooLong, DialFailed, RemoteError)
"""What a conversation may let escape. Anything else is a fault of ours, and ends as `internal`."""


def ending(exception: BaseException, phase: Phase) -> Outcome:
    """
    Return the outcome of a connection whose conversation let an exception escape.

    Args:
        exception: What escaped.
        phase: The phase that the last command began. A failed dial is one of `dial` whatever command it answered.
    """
    if isinstance(exception, DialFailed):
        return _DIAL_ENDINGS.get(exception.error, _TARGET_FAILED)
    if isinstance(exception, ClientClosed):
        return Outcome(EndedBy.CLIENT, phase)
    if isinstance(exception, DeadlinePassed):
        return Outcome(EndedBy.CLIENT_TIMEOUT, phase)
    if isinstance(exception, TooLong | RemoteError):
        return Outcome(EndedBy.PROXY, phase, Reason.PROTOCOL)
    return Outcome(EndedBy.INTERNAL, phase)


_TARGET_FAILED = Outcome(EndedBy.TARGET, Phase.DIAL)

_DIAL_ENDINGS = {
    DialError.TIMEOUT: Outcome(EndedBy.TARGET_TIMEOUT, Phase.DIAL),
    DialError.RESOURCE: Outcome(EndedBy.RESOURCE, Phase.DIAL),
    DialError.LOOP: Outcome(EndedBy.PROXY, Phase.DIAL, Reason.DESTINATION),
    DialError.NO_TARGET: Outcome(EndedBy.PROXY, Phase.DIAL, Reason.DESTINATION),
    DialError.DENIED: Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS),
    DialError.FORBIDDEN: Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION),
    DialError.ROUTE_FULL: Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ROUTE_LIMIT),
    DialError.ROUTE_BUSY: Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ROUTE_LIMIT),
    DialError.USER_FULL: Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.USER_LIMIT),
    DialError.USER_BUSY: Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.USER_LIMIT),
    DialError.SPENT: Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.QUOTA),
}
