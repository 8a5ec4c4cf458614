"""
The conversation of a port for several protocols: look at the first bytes, take none, and go on as what they are.

What is not enabled, and what no protocol claims, goes to the listener's targets where `tcp` is enabled, and is refused
where it is not. A client that falls silent goes to the targets too: it waits for a server that speaks first.
"""

from collections.abc import Callable

from penstock.base import bounds
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan
from penstock.connection.commands import ClientClosed, Close, Conversation, DeadlinePassed, Facts, Peek
from penstock.connection.http import http_forward
from penstock.connection.socks5 import socks5
from penstock.connection.tcp import tcp
from penstock.protocols.detect import Wire, detect

_PEEKS = tuple(Peek(count) for count in range(bounds.DETECT_BYTES + 1))
_PROTOCOL = Outcome(EndedBy.PROXY, Phase.DETECT, Reason.PROTOCOL)

_SPEAKERS: dict[Wire, tuple[str, Callable[[Facts, ListenerPlan], Conversation]]] = {
    Wire.HTTP: ("http", http_forward),
    Wire.SOCKS5: ("socks5", socks5),
    Wire.SOCKS4: ("socks5", socks5),
}
"""Who speaks it, and the word in `listener.detect` that enables it."""


def auto(facts: Facts, listener: ListenerPlan) -> Conversation:
    """
    Tell the protocol and hand over to its conversation.

    Args:
        facts: Of the connection.
        listener: Its `detect` says what is enabled.
    """
    raw = "tcp" in listener.detect and bool(listener.targets)
    head = b""
    wire = None
    while wire is None:
        try:
            head = yield _PEEKS[len(head) + 1]
        except DeadlinePassed:
            if not raw:
                raise
            wire = Wire.RAW
        except ClientClosed:
            if not raw or not head:
                raise
            wire = Wire.RAW  # as short as it is, it may be all that its target waits for
        else:
            wire = detect(head)
    word, conversation = _SPEAKERS.get(wire, ("", tcp))
    if word in listener.detect:
        yield from conversation(facts, listener)
    elif raw:
        yield from tcp(facts, listener)
    else:
        yield Close(_PROTOCOL, f"the first bytes look like {wire}, which this listener does not take")
