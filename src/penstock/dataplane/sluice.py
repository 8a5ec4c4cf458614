"""
A sluice: while many more clients wait than a worker gets to, the kernel leaves strangers outside.

A new client stands in the kernel's line with all others, and nobody can tell them apart before they are accepted: under
a flood the line is full, thousands of strangers long, and each newcomer waits for all of them, or is not heard and asks
again after a second. So when more than `LINE_HIGH` wait and many of late were sent away, a filter on the listening
socket (classic BPF, which needs no privilege) hears only clients that limits exempt, and trusted proxies, until few are
left. A stranger is not heard, as with a full line, and its kernel asks again. Open connections and handshakes under way
never notice. A rush of clients who may all come in, as after a restart, meets no sluice.
Source: docs/decisions/0015-limits.md.
"""

import contextlib
import sys
from _socket import IPPROTO_TCP, SOL_SOCKET, TCP_INFO
from _socket import socket as RawSocket
from array import array
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from struct import Struct, pack

from penstock.base.bounds import LINE_HIGH, LINE_LOW, LINE_REFUSED, LINE_WARY
from penstock.base.clock import NS

ATTACH, DETACH = 26, 27
"""SO_ATTACH_FILTER and SO_DETACH_FILTER. Linux uapi, asm-generic/socket.h."""

WARY_NS = 10 * NS
"""How long after it was closed a shorter line closes it: a flood goes on, a rush of welcome clients does not."""

NETWORKS = 256
"""Networks that a program tells of at most; Linux takes programs of 4,096 instructions (BPF_MAXINSNS), and an IPv6
network takes up to 13."""

_LINE = Struct("=24xI")
"""Of `tcp_info`: tcpi_unacked, which of a listening socket is how many wait (tcp_get_info of Linux)."""

_LOAD, _LOAD_BYTE, _AND, _GO_ON, _IF_EQUAL, _IF_ANY, _ANSWER = 0x20, 0x30, 0x54, 0x05, 0x15, 0x45, 0x06
"""Instructions. Linux uapi, linux/bpf_common.h."""

_FLAGS, _SYN, _ACK = 13, 0x02, 0x10
"""Of a TCP header (RFC 9293, section 3.1), with which what a filter sees begins."""

_HEADER = 0xFFF0_0000
"""Where the IP header is: SKF_NET_OFF. Linux uapi, linux/filter.h."""

_SOURCE4, _SOURCE6 = _HEADER + 12, _HEADER + 8

_PASS, _DROP = 0xFFFF_FFFF, 0

Network = IPv4Network | IPv6Network


class Sluice:
    """
    The sluice of one listening socket.

    Args:
        sock: It.
        heard: Networks that are heard at all times; with more than `NETWORKS` of them everybody is.

    Attributes:
        closed: Whether strangers are left outside now.
        refused: Clients that were sent away; whoever does it counts it here.
    """

    __slots__ = ("_before", "_program", "_since", "_sock", "_wary_until", "closed", "refused")

    def __init__(self, sock: RawSocket, heard: Iterable[str]) -> None:
        self._sock, self.closed, self._wary_until = sock, False, 0
        self.refused = self._before = self._since = 0
        networks = [ip_network(each, strict=False) for each in heard]
        self._program = array("Q", program(networks)) if len(networks) <= NETWORKS else None
        self.open()  # whoever had the socket before may have died while it was closed

    def look(self, now: int) -> None:
        """
        Close it if too many wait and it is no rush of welcome clients; open it when few are left.

        Cost: 1 us; 4 us more to open it, and 40 to close it, a few times in a second of a flood.

        Args:
            now: Monotonic time; unit ns.
        """
        if self._program is None:
            return
        try:
            waiting = _LINE.unpack_from(self._sock.getsockopt(IPPROTO_TCP, TCP_INFO, _LINE.size))[0]
        except OSError:  # a Unix socket's
            return
        if self.closed:
            if waiting < LINE_LOW:
                self.open()
        elif self._refuses(now) and waiting > (LINE_WARY if now < self._wary_until else LINE_HIGH):
            self._close(self._program)
            self._wary_until = now + WARY_NS

    def _refuses(self, now: int) -> bool:
        """Return whether many were sent away within the second that runs and the one before."""
        passed = now - self._since
        if passed >= NS:
            self._before = self.refused if passed < 2 * NS else 0
            self._since, self.refused = now, 0
        return self.refused + self._before >= LINE_REFUSED

    def _close(self, instructions: "array[int]") -> None:
        address, length = instructions.buffer_info()
        with contextlib.suppress(OSError):  # without room for a filter all stays as it is
            self._sock.setsockopt(SOL_SOCKET, ATTACH, pack("@HP", length, address))
            self.closed = True

    def open(self) -> None:
        """Hear everybody."""
        self.closed = False
        with contextlib.suppress(OSError):  # ENOENT: there was no filter
            self._sock.setsockopt(SOL_SOCKET, DETACH, 0)


def program(heard: Sequence[Network]) -> list[int]:
    """Return the instructions that let first packets of these networks pass, and all that is no first packet."""
    six = [_instruction(*each) for network in heard if network.version == 6 for each in _from_ipv6(network)]
    four = [_instruction(*each) for network in heard if network.version == 4 for each in _from_ipv4(network)]
    begin = [(_LOAD_BYTE, _FLAGS), (_IF_ANY, _ACK, 0, 1), (_ANSWER, _PASS), (_IF_ANY, _SYN, 1, 0), (_ANSWER, _PASS)]
    return [_instruction(*each) for each in begin] + [
        _instruction(_LOAD_BYTE, _HEADER),
        _instruction(_AND, 0xF0),
        _instruction(_IF_EQUAL, 0x40, 1, 0),
        _instruction(_GO_ON, len(four) + 1),
        *four,
        _instruction(_ANSWER, _DROP),
        *six,
        _instruction(_ANSWER, _DROP),
    ]


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> int:
    """Return a `sock_filter` as a number, in the byte order of the machine."""
    return int.from_bytes(pack("=HBBI", code, yes, no, value), sys.byteorder)


def _from_ipv4(network: Network) -> Iterator[tuple[int, ...]]:
    yield _LOAD, _SOURCE4
    yield _AND, int(network.netmask)
    yield _IF_EQUAL, int(network.network_address), 0, 1
    yield _ANSWER, _PASS


def _from_ipv6(network: Network) -> Iterator[tuple[int, ...]]:
    words = max(1, -(-network.prefixlen // 32))
    for word in range(words):
        shift = 96 - 32 * word
        yield _LOAD, _SOURCE6 + 4 * word
        yield _AND, int(network.netmask) >> shift & 0xFFFF_FFFF
        yield _IF_EQUAL, int(network.network_address) >> shift & 0xFFFF_FFFF, 0, 3 * (words - word) - 2
    yield _ANSWER, _PASS
