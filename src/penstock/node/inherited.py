"""
Listening sockets that this process was given instead of binding them: by systemd, or by the process that it succeeds.

A socket belongs to the listener that has its name, else to the one that has its address. Whoever starts us decides what
is open, so what nobody needs is closed and told.
Source: sd_listen_fds(3).
"""

import os
import socket
from collections.abc import Iterable, MutableMapping
from typing import NamedTuple

FIRST_FD = 3
"""SD_LISTEN_FDS_START: systemd passes descriptors from here on."""

MOST = 65_536
"""Descriptors that LISTEN_FDS may name; nobody passes more than a process may have."""

ADMIN, COMMAND = "admin", "command"
"""Names of the doors' sockets. A name of systemd's is that of a listener, or `admin`."""

Address = tuple[str, int]


class Given(NamedTuple):
    """
    What belongs together.

    Args:
        name: What it is for: a listener's name, or ADMIN or COMMAND; empty for unknown.
        sockets: One, or one for each worker; each listens.
        asked: The address as it was configured; None for unknown.
    """

    name: str
    sockets: tuple[socket.socket, ...]
    asked: Address | None = None

    @property
    def bound(self) -> Address:
        """Return where they listen; `unix:/path` and 0 for a Unix socket."""
        return address_of(self.sockets[0])


class Inherited:
    """
    What was given and is not claimed yet.

    Args:
        given: All of it.
        refused: What was passed and is no listening socket; a line for each.
    """

    def __init__(self, given: Iterable[Given] = (), refused: Iterable[str] = ()) -> None:
        self._given, self._refused = list(given), list(refused)

    def claim(self, name: str, host: str, port: int) -> list[socket.socket]:
        """
        Return the sockets for a listener; none if there are none. They are the caller's from now on.

        Args:
            name: What it is called.
            host, port: Its address as configured; port 0 is any.
        """
        found = self._named(name, (host, port)) or self._at((host, port))
        if found is None:
            return []
        self._given.remove(found)
        return list(found.sockets)

    def _named(self, name: str, address: Address) -> Given | None:
        """Return what has this name, unless it was configured for another address."""
        fits = (each for each in self._given if each.name == name and each.asked in (None, address))
        return next(fits, None)

    def _at(self, address: Address) -> Given | None:
        if not address[1] and not address[0].startswith("unix:"):
            return None  # port 0 is another one each time
        return next((each for each in self._given if address in (each.asked, each.bound)), None)

    def close(self) -> list[str]:
        """Close what nobody has claimed, and return what it was; a line for each."""
        told = [*self._refused, *(f"{each.name or 'a socket'} at {_text(each.bound)}" for each in self._given)]
        for each in self._given:
            for sock in each.sockets:
                sock.close()
        self._given, self._refused = [], []
        return told


def from_systemd(environ: MutableMapping[str, str] = os.environ) -> Inherited:
    """
    Return what systemd, or another parent that speaks like it, has passed.

    Args:
        environ: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES are taken out of it: they are not for our children.
    """
    count, pid, names = (environ.pop(f"LISTEN_{word}", "") for word in ("FDS", "PID", "FDNAMES"))
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()) or int(count) > MOST:
        return Inherited()
    said = names.split(":")
    given, refused = [], []
    for number in range(int(count)):
        fd = FIRST_FD + number
        sock = listening(fd)
        if sock is None:
            refused.append(f"descriptor {fd} is no listening stream socket")
            _close(fd)
        else:
            given.append(Given(said[number] if number < len(said) else "", (sock,)))
    return Inherited(given, refused)


def listening(fd: int) -> socket.socket | None:
    """Return a descriptor as a listening socket that does not block and no child inherits; None if it is none."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.setblocking(False)
            sock.set_inheritable(False)
            return sock
    except OSError:
        pass
    sock.detach()
    return None


def address_of(sock: socket.socket) -> Address:
    """Return where a socket listens; `unix:/path` and 0 for a Unix socket."""
    name = sock.getsockname()
    if isinstance(name, tuple):
        return name[0], name[1]
    return f"unix:{os.fsdecode(name)}", 0


def _text(address: Address) -> str:
    host, port = address
    if host.startswith("unix:"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass
