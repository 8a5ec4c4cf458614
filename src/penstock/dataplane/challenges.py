"""
ACME challenges that are under way: what the supervisor tells all workers, and what they answer with.

They lie in the note of the board, so a worker that is born in the middle of one finds it there. They are read only when
somebody asks for a token, or offers `acme-tls/1`; most of the time there is none, and that is told by one word.
"""

import os
import ssl
from struct import Struct as Layout

import msgspec
from msgspec import Struct

from penstock.dataplane.board import Board

ACME_TLS = "acme-tls/1"
"""RFC 8737 section 6.2."""

_LENGTH = Layout("=I")


class Pending(Struct, frozen=True):
    """
    Challenges under way.

    Args:
        tokens: For http-01: what answers each token (RFC 8555 section 8.1).
        certificates: For tls-alpn-01: the certificate and key of each name, as PEM.
    """

    tokens: dict[str, str] = {}
    certificates: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Pending({len(self.tokens)} tokens, {len(self.certificates)} certificates)"


NOTHING = Pending()

_decoder = msgspec.json.Decoder(Pending)


def post(board: Board, pending: Pending) -> None:
    """
    Tell all workers. For the supervisor alone, which tells the ACME server only afterwards.

    Args:
        board: Its own view of the board.
        pending: All challenges under way; none ends them.

    Raises:
        ValueError: If they are longer than a note.
    """
    data = msgspec.json.encode(pending) if pending.tokens or pending.certificates else b""
    end = _LENGTH.size + len(data)
    if end > len(board.note):
        raise ValueError(f"challenges of {len(data)} bytes are longer than a note")
    _LENGTH.pack_into(board.note, 0, 0)  # who reads meanwhile finds none, rather than half of them
    board.note[_LENGTH.size : end] = data
    _LENGTH.pack_into(board.note, 0, len(data))


class Challenges:
    """
    What a worker knows of them.

    Args:
        board: Its view of the board.
    """

    def __init__(self, board: Board) -> None:
        self._note = board.note
        self._made: tuple[str, ssl.SSLContext | None] = ("", None)

    def _read(self) -> Pending:
        (length,) = _LENGTH.unpack_from(self._note)
        if not 0 < length <= len(self._note) - _LENGTH.size:
            return NOTHING
        try:
            return _decoder.decode(self._note[_LENGTH.size : _LENGTH.size + length])
        except msgspec.MsgspecError:  # it is being written: whoever is to ask for it has not been told yet
            return NOTHING

    def key_authorization(self, token: str) -> str:
        """Return what answers a token; empty if nobody waits for it."""
        return self._read().tokens.get(token, "")

    def has_certificate(self, name: str) -> bool:
        """Return whether a name is being proved by tls-alpn-01."""
        return name in self._read().certificates

    def context(self, name: str) -> ssl.SSLContext | None:
        """Return what shakes hands with who asks for the proof of a name; None if that is over."""
        pem = self._read().certificates.get(name)
        if pem is None:
            return None
        if self._made[0] != pem:  # 1 to 2 ms, and whoever knows of the challenge may ask again and again
            self._made = pem, _context(pem)
        return self._made[1]


def _context(pem: str) -> ssl.SSLContext | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8737 section 3
    context.num_tickets = 0
    context.set_alpn_protocols([ACME_TLS])
    fd = os.memfd_create("penstock-challenge", os.MFD_CLOEXEC)  # OpenSSL takes files alone; this one is on no disk
    try:
        os.write(fd, pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)
    return context
