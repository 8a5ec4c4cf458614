"""What a client has sent and its conversation has not taken yet: bounded, and the same for every split of the bytes."""

from _socket import MSG_DONTWAIT, MSG_PEEK

from penstock.base.bounds import HANDSHAKE_BUFFER_BYTES, HANDSHAKE_READ_BYTES
from penstock.connection.commands import ClientClosed, Need, Peek, TooLong, Until
from penstock.dataplane.reactor import HANGUP, URGENT
from penstock.dataplane.relay import RESUMED, End


class Inbox:
    """
    Reads a client while a conversation asks for bytes.

    Args:
        client: The client's end.
        words: The ledger's words, which count what is read.

    Attributes:
        data: Bytes not taken yet.
        pending: Edges of the client's socket that nobody followed to their end yet.
        skipped: Bytes in front of all that the client says: a PROXY header, which is not counted.
        leaves: Whether bytes are looked at and left to the kernel: who is to read them is not decided yet.
    """

    __slots__ = ("_client", "_edges", "_words", "data", "leaves", "pending", "skipped")

    def __init__(self, client: End, words: memoryview) -> None:
        self._client, self._words = client, words
        self.data = b""
        self.pending = self._edges = 0
        self.leaves = False
        self.skipped = 0

    def take(self, command: Need | Until | Peek) -> bytes | None:
        """
        Answer a wish for bytes, reading what is there.

        Returns:
            The bytes, or None if more must come.

        Raises:
            ClientClosed: If no more will come.
            TooLong: If there is no delimiter within the limit.
        """
        data, kind = self.data, type(command)
        while True:
            end = self._find(command) if kind is Until else command.count  # type: ignore[arg-type, union-attr]
            if 0 < end <= len(data):
                break
            if not (self.pending and self.fill()):
                if self._client.eof:
                    raise ClientClosed(len(data))
                return None
            data = self.data
        if kind is Peek:
            return data
        if end == len(data):
            self.data = b""
            return data
        self.data = data[end:]
        return data[:end]

    def _find(self, command: Until) -> int:
        """Return where the wanted bytes end; 0 if they are not all there."""
        data = self.data
        begin = data.find(command.delimiter)
        end = begin + len(command.delimiter)
        if begin >= 0 and end <= command.limit:
            return end
        if len(data) >= command.limit:
            raise TooLong(f"no end within {command.limit} bytes", len(data))
        return 0

    def fill(self) -> bool:
        """Read what edges have announced, as far as there is room. Returns whether anything came."""
        if self.leaves:
            return self._look()
        client, before = self._client, len(self.data)
        while self.pending and len(self.data) < HANDSHAKE_BUFFER_BYTES:
            try:
                data = client.sock.recv(HANDSHAKE_READ_BYTES, MSG_DONTWAIT)
            except BlockingIOError:
                self.pending = 0
                break
            except OSError:  # a reset: it will say no more
                data = b""
            if not data:
                self.pending = 0
                client.eof = True
                break
            self._words[client.rx] += len(data)
            self.data = self.data + data if self.data else data
            if len(data) < HANDSHAKE_READ_BYTES and not self.pending & URGENT:
                client.eof = self.pending & HANGUP != 0
                self.pending = 0
                return True
        return len(self.data) > before

    def listen(self) -> None:
        """Read once what is there, whether an edge has announced it or not. A reset ends the connection."""
        client = self._client
        try:
            data = client.sock.recv(HANDSHAKE_READ_BYTES, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            client.connection.broken(client)
            return
        mask = self.pending if data else self.pending | HANGUP
        self.heard(data, mask, more=len(data) == HANDSHAKE_READ_BYTES)

    def heard(self, data: bytes, mask: int, *, more: bool) -> None:
        """
        Keep what was read first, and count it.

        Args:
            data: It; may be empty.
            mask: The edges that were followed so.
            more: Whether there may be more.
        """
        client = self._client
        self.data = data
        self._words[client.rx] += len(data)
        if more or mask & URGENT:
            self.pending = mask | RESUMED
        else:
            self.pending = 0
            client.eof = mask & HANGUP != 0

    def _look(self) -> bool:
        """See what is there, and leave it. Returns whether more is there than before."""
        if not self.pending:
            return False
        client, before = self._client, len(self.data)
        try:
            self.data = client.sock.recv(HANDSHAKE_BUFFER_BYTES, MSG_DONTWAIT | MSG_PEEK)
        except BlockingIOError:
            pass
        except OSError:
            client.eof = True
        else:
            client.eof = not self.data or bool(self.pending & HANGUP)
        self._edges |= self.pending
        self.pending = 0
        return len(self.data) > before

    def decided(self) -> None:
        """Forget what was looked at: it is still to be read."""
        if self.leaves:
            self.leaves = self._client.eof = False
            self.data = b""
            self.pending |= self._edges

    def doubt_ends(self) -> None:
        """Take no edge for the end of what the client says: what it has said may be read in pieces from now on."""
        for edges in ("pending", "_edges"):
            if (mask := getattr(self, edges)) & HANGUP:
                setattr(self, edges, mask & ~HANGUP | URGENT)

    def discard(self) -> None:
        """Read and count what is there, and keep none of it."""
        self.decided()
        self.data = b""
        self.fill()
        self.data = b""
