"""Which conversation a listener's protocol has. To add a protocol, write its conversation and name it here."""

from collections.abc import Callable

from penstock.config.plan import ListenerPlan
from penstock.connection.auto import auto
from penstock.connection.commands import Conversation, Facts
from penstock.connection.http import http_forward
from penstock.connection.reverse import http_reverse
from penstock.connection.socks5 import socks5
from penstock.connection.tcp import tcp
from penstock.connection.tls import tls


def http(facts: Facts, listener: ListenerPlan) -> Conversation:
    """Serve one client of an HTTP listener, which is a forward or a reverse proxy."""
    return http_reverse(facts, listener) if listener.reverse else http_forward(facts, listener)


CONVERSATIONS: dict[str, Callable[[Facts, ListenerPlan], Conversation]] = {
    "tcp": tcp,
    "http": http,
    "socks5": socks5,
    "auto": auto,
    "tls": tls,
}
"""By `ListenerPlan.protocol`."""
