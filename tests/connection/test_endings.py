"""Endings: every exception that a conversation may let escape stands for one outcome."""

from typing import get_args

import pytest

from penstock.base.errors import RemoteError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.connection import commands
from penstock.connection.commands import ClientClosed, DeadlinePassed, DialError, DialFailed, TooLong
from penstock.connection.endings import DOCUMENTED, PHASES, ending


@pytest.mark.parametrize(
    ("exception", "outcome"),
    [
        (ClientClosed(), Outcome(EndedBy.CLIENT, Phase.NEGOTIATE)),
        (DeadlinePassed(), Outcome(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE)),
        (TooLong(), Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)),
        (RemoteError("no"), Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)),
        (ZeroDivisionError(), Outcome(EndedBy.INTERNAL, Phase.NEGOTIATE)),
    ],
)
def test_exceptions_end_in_the_phase_they_came_in(exception, outcome):
    """The client's news and breaches end in the phase of the last command; what is not documented is our own fault."""
    assert ending(exception, Phase.NEGOTIATE) == outcome


@pytest.mark.parametrize("error", DialError)
@pytest.mark.parametrize("phase", [Phase.DIAL, Phase.RELAY])
def test_every_failed_dial_ends_in_the_dial_phase(error, phase):
    """A failed dial is one of `dial` even when an `Exchange` made it, and says who was at fault; rules decide first."""
    expected = {
        DialError.TIMEOUT: (EndedBy.TARGET_TIMEOUT, None),
        DialError.RESOURCE: (EndedBy.RESOURCE, None),
        DialError.LOOP: (EndedBy.PROXY, Reason.DESTINATION),
        DialError.NO_TARGET: (EndedBy.PROXY, Reason.DESTINATION),
        DialError.DENIED: (EndedBy.PROXY, Reason.ACCESS),
        DialError.FORBIDDEN: (EndedBy.PROXY, Reason.DESTINATION),
        DialError.ROUTE_FULL: (EndedBy.PROXY, Reason.ROUTE_LIMIT),
        DialError.ROUTE_BUSY: (EndedBy.PROXY, Reason.ROUTE_LIMIT),
        DialError.USER_FULL: (EndedBy.PROXY, Reason.USER_LIMIT),
        DialError.USER_BUSY: (EndedBy.PROXY, Reason.USER_LIMIT),
        DialError.SPENT: (EndedBy.PROXY, Reason.QUOTA),
    }.get(error, (EndedBy.TARGET, None))
    at_dial = (DialError.LOOP, DialError.NO_TARGET)
    decided = Phase.DECIDE if expected[1] is not None and error not in at_dial else Phase.DIAL
    assert ending(DialFailed(error), phase) == Outcome(expected[0], decided, expected[1])


def test_every_command_has_its_phase_or_leaves_it():
    """No command is forgotten: a new one must be put into the table or into this list."""
    neutral = {
        commands.Send, commands.Answer, commands.Take, commands.Describe, commands.Login, commands.TurnAway,
            commands.Verify, commands.Close,
    }  # fmt: skip
    assert set(get_args(commands.Command)) == set(PHASES) | neutral


def test_documented_exceptions_are_never_internal():
    """What a conversation may let escape never counts as our own fault."""
    samples = {DialFailed: DialFailed(DialError.FAILED)}
    for kind in DOCUMENTED:
        assert ending(samples.get(kind) or kind(), Phase.RELAY).ended_by != EndedBy.INTERNAL
