"""What must never be banned around a node: its own addresses, gateways and name servers, from the kernel's files."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from penstock.policy.protection import Guarded

PROC = Path("/proc/net")
RESOLV = Path("/etc/resolv.conf")

FILE_BYTES = 4 << 20
"""Of each file that are read: a router with a full table has 50 MB of them, and its own addresses come early."""

OWN, GATEWAY, NAMES = "an address of this machine", "the default gateway", "a name server of this machine"


def look_around(proc: Path = PROC, resolv: Path = RESOLV) -> list[Guarded]:
    """Return what is to be protected; what cannot be read is left out. Takes some ms."""
    found = [Guarded(each, OWN) for each in (*own_ipv4(_read(proc / "fib_trie")), *own_ipv6(_read(proc / "if_inet6")))]
    gateways = (*gateways_ipv4(_read(proc / "route")), *gateways_ipv6(_read(proc / "ipv6_route")))
    found += [Guarded(each, GATEWAY) for each in gateways]
    found += [Guarded(each, NAMES) for each in name_servers(_read(resolv))]
    return list(dict.fromkeys(found))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES).decode("ascii", "replace")
    except OSError:
        return ""


def own_ipv4(text: str) -> Iterator[str]:
    """Yield the addresses of this machine in a `fib_trie`: leaves that are local hosts."""
    address = ""
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 2 and words[0] in ("|--", "+--"):
            address = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            yield address


def own_ipv6(text: str) -> Iterator[str]:
    """Yield the addresses of this machine in an `if_inet6`: the first word of each line, without colons."""
    for line in text.split("\n"):
        word = line[:32]
        if len(word) == 32 and _is_hex(word):
            yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(word))


def gateways_ipv4(text: str) -> Iterator[str]:
    """Yield the gateways of default routes in a `route`: interface, destination, gateway, ..., in the host's order."""
    for line in text.split("\n")[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == words[7] == "00000000" and words[2] != "00000000" and _is_hex(words[2]):
            yield str(IPv4Address(socket.ntohl(int(words[2], 16))))


def gateways_ipv6(text: str) -> Iterator[str]:
    """Yield the gateways of default routes in an `ipv6_route`: destination, length, source, length, next hop, ..."""
    for line in text.split("\n"):
        words = line.split()
        if len(words) > 4 and words[1] == "00" and len(words[4]) == 32 and _is_hex(words[4]) and int(words[4], 16):
            yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[4]))


def name_servers(text: str) -> Iterator[str]:
    """Yield the name servers of a `resolv.conf`."""
    for line in text.split("\n"):
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            yield words[1].partition("%")[0]


def _is_hex(word: str) -> bool:
    return all(each in "0123456789abcdefABCDEF" for each in word)
