"""The TCP conversation: dial, relay, and every end of it."""

import pytest

from penstock.base.outcomes import EndedBy, Phase, Reason
from penstock.config.plan import ListenerPlan, RoutePlan, TargetPlan
from penstock.connection.commands import DialError, DialFailed, Facts
from penstock.connection.tcp import tcp
from penstock.testing.playbook import closes, dials_any, perform, relays, says

LISTENER = ListenerPlan(
    id=1,
    name="t",
    protocol="tcp",
    host="127.0.0.1",
    port=1,
    route=RoutePlan(id=1, name="default", targets=(TargetPlan(id=1, host="192.0.2.2", port=80),)),
)


def conversation():
    """A fresh one."""
    return tcp(Facts("192.0.2.9", 5_000), LISTENER)


def test_it_dials_and_relays():
    """Nothing is read and nothing is said; what comes early goes to the target."""
    perform(conversation, dials_any(), relays())
    perform(conversation, says(b"early"), dials_any(), relays(leftover=b"early"))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DialError.REFUSED, (EndedBy.TARGET, Phase.DIAL)),
        (DialError.TIMEOUT, (EndedBy.TARGET_TIMEOUT, Phase.DIAL)),
        (DialError.RESOURCE, (EndedBy.RESOURCE, Phase.DIAL)),
        (DialError.LOOP, (EndedBy.PROXY, Phase.DIAL, Reason.DESTINATION)),
    ],
)
def test_a_failed_dial_ends_it(error, outcome):
    """There is no word to say it in, so the connection just ends as what went wrong."""
    perform(conversation, dials_any(DialFailed(error)), closes(*outcome, detail=str(error)))
