"""What a conversation tells, and need not wait for: each of these commands is answered with None at once."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from penstock.connection.commands import Answer, Conversation, Describe, Login, Send, Take, TurnAway
from penstock.dataplane.requests import conclude
from penstock.metrics.ledger import H_FAILED_LOGINS, H_LOGINS, PORT, SCOPE, WRONG_LOGINS_SHIFT, take

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection


def hear_out(conversation: Conversation) -> None:
    """Let a conversation return that has said its last word: a close would raise an exception in each of its parts."""
    try:
        conversation.send(None)
    except StopIteration:
        return


def _send(connection: "Connection", command: Send) -> None:
    connection.client.send(command.data)


def describe(connection: "Connection", command: Describe) -> None:
    """Tell the ledger who the client is and where it wants to go."""
    if command != connection.described:
        connection.described = command
        connection.worker.ledger.describe(connection.row, command.destination, command.user, "")


def _login(connection: "Connection", command: Login) -> None:
    words = connection.worker.words
    words[H_LOGINS if command.right else H_FAILED_LOGINS] += 1
    if connection.row and not command.right:
        words[connection.row + PORT] += 1 << WRONG_LOGINS_SHIFT


def _take(connection: "Connection", command: Take) -> None:
    connection.route = connection.route.routes.of(command.route)  # of the plan that it began with
    words, scope = connection.worker.words, connection.row + SCOPE
    words[scope] = take(words[scope], command.route.id)


def _turn_away(connection: "Connection", command: TurnAway) -> None:
    connection.worker.ledger.turn_away(command.outcome.pack())


AT_ONCE: Mapping[type, Callable[["Connection", Any], None]] = MappingProxyType(
    {Send: _send, Answer: conclude, Describe: describe, Login: _login, Take: _take, TurnAway: _turn_away}
)
"""What is done about each of them; the connection may have ended by then."""
