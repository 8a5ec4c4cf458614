"""A TCP listener's conversation: there is nothing to say, so dial and relay."""

from penstock.config.plan import ListenerPlan
from penstock.connection.commands import Conversation, DialAny, Facts, Relay

_DIAL_ANY = DialAny()
_RELAY = Relay()


def tcp(facts: Facts, listener: ListenerPlan) -> Conversation:
    """
    Dial one of the listener's targets and relay.

    Args:
        facts: Of the connection; not asked.
        listener: Whose targets are dialed.
    """
    yield _DIAL_ANY
    yield _RELAY
