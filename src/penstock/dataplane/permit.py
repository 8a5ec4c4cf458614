"""
What access rules say of where one connection goes, asked when it is known who asks for what, and of every address.

Only connections have one that some rule could still stop: for the others nothing is asked.
"""

from typing import TYPE_CHECKING

from penstock.base.addresses import Endpoint
from penstock.base.outcomes import Reason
from penstock.connection.commands import Describe, DialError
from penstock.policy.access import Access, Refusal
from penstock.policy.facts import RouteFacts

if TYPE_CHECKING:
    from penstock.dataplane.worker import Worker

_NOTHING = Describe()
_NOWHERE = Endpoint("", 0)

ERRORS = {Reason.ACCESS: DialError.DENIED, Reason.DESTINATION: DialError.FORBIDDEN}
"""What a refusal is to the conversation, which tells the client."""


class Permit:
    """
    The rules that a connection began with.

    Args:
        worker: Knows which minute of the week it is.
        access: Of its listener.
        listener, port: Number of the listener and its own port.
        client: The client's address as a number.
    """

    __slots__ = ("_access", "_asked", "_client", "_listener", "_port", "_user", "_where", "_worker")

    def __init__(self, worker: "Worker", access: Access, listener: int, port: int, client: int) -> None:
        self._worker, self._access, self._client = worker, access, client
        self._listener, self._port = listener, port
        self._asked: Describe | None = None
        self._user, self._where = "", _NOWHERE

    def learn(self, asked: Describe | None) -> None:
        """Take down who asks for what; the same again is no work."""
        if asked is self._asked:
            return
        self._asked = asked
        said = asked or _NOTHING
        self._user = said.user
        host, _, port = said.destination.rpartition(":")
        if not port.isdecimal():  # a name in TLS
            host, port = said.destination, "0"
        self._where = Endpoint(host.removeprefix("[").removesuffix("]"), int(port))

    def asks_for(self, host: str, port: int) -> bool:
        """Return whether this is the place that the client asked for itself."""
        return self._where == (host, port)

    def refuses(self, asked: Describe | None) -> Refusal | None:
        """Return why the client may not go on with what it asks for; None if it may, as far as names tell."""
        self.learn(asked)
        return self.judge(*self._where)

    def address(self, address: str) -> Refusal | None:
        """Return why the place that it asks for may not be this address."""
        return self.judge(*self._where, address)

    def judge(self, host: str, port: int, address: str = "") -> Refusal | None:
        """Return why it may not go to any place; see `Access.refusal`."""
        facts = RouteFacts(
            listener=self._listener,
            user=self._user,
            port=port or self._port,
            destination=host,
            destination_port=port,
        )
        return self._access.refusal(facts, self._client, self._worker.minute, address)
