"""Which conversation a listener's protocol has. To add a protocol, write its conversation and name it here."""

from collections.abc import Callable

from penstock.config.plan import ListenerPlan
from penstock.connection.auto import auto
from penstock.connection.commands import Conversation, Facts
from penstock.connection.http import http_forward
from penstock.connection.socks5 import socks5
from penstock.connection.tcp import tcp
from penstock.connection.tls import tls

CONVERSATIONS: dict[str, Callable[[Facts, ListenerPlan], Conversation]] = {
    "tcp": tcp,
    "http": http_forward,
    "socks5": socks5,
    "auto": auto,
    "tls": tls,
}
"""By `ListenerPlan.protocol`."""
