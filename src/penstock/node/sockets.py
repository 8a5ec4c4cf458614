"""
Listening sockets: bound before any worker starts, one per worker and listener, and inherited by each worker's heirs.

The supervisor keeps each socket open, so what the kernel has queued on it outlives a worker's death.

The first socket of a listener is bound and listens alone, which fails if anybody else listens there, a second Penstock
included; only then does it share its port (SO_REUSEPORT) with those of the other workers. Nobody can slip in between.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from penstock.base import bounds
from penstock.base.addresses import Endpoint
from penstock.base.errors import StartError
from penstock.config.plan import ListenerPlan, NodePlan
from penstock.node.inherited import ADMIN, COMMAND, Inherited, address_of

_NO_IPV6 = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT))

_REASONS = {
    errno.EADDRINUSE: "is in use by another process",
    errno.EACCES: "permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE",
    errno.EPERM: "permission denied",
    errno.EADDRNOTAVAIL: "is no address of this machine",
    errno.EAFNOSUPPORT: "this machine has no such address family",
    errno.EMFILE: "out of file descriptors; raise the limit (ulimit -n, LimitNOFILE)",
    errno.ENFILE: "the machine is out of file descriptors",
    errno.ENOENT: "the directory does not exist",
}


class UnixSocket:
    """
    A listening Unix socket and its file.

    Args:
        path: Absolute path; a stale file of a dead process is replaced.
        what: What it is for, at the start of an error message.
        mode: Permissions of the file; None leaves them to the umask.
        given: A socket that listens there already; its file is left alone until `own` is called.

    Raises:
        StartError: If somebody listens there, if the path is no socket, or if the file system refuses.
    """

    __slots__ = ("_file", "path", "socket")

    def __init__(self, path: str, what: str, mode: int | None = None, given: socket.socket | None = None) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None
        if given is not None:
            self.socket = given
            return
        _remove_stale(path, what)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.bind(path)
            if mode is not None:
                Path(path).chmod(mode)  # nobody can connect before listen: no moment with other permissions
            self.socket.listen(bounds.LISTEN_BACKLOG)
            self._file = _identity(path)
        except OSError as error:
            self.socket.close()
            raise _start_error(what, f"unix:{path}", error) from error

    def own(self) -> None:
        """Take the file over: it is removed when this is closed."""
        with suppress(OSError):
            self._file = _identity(self.path)

    def disown(self) -> None:
        """Leave the file to another process, which listens there from now on."""
        self._file = None

    def close(self) -> None:
        """Close the socket and remove its file, unless another process has put its own there."""
        self.socket.close()
        with suppress(OSError):
            if self._file is not None and _identity(self.path) == self._file:
                Path(self.path).unlink()


class OpenListener:
    """
    One listener's sockets.

    Args:
        plan: The listener, with the host and port that it really has.
        sockets: One for each worker, or a single one that all share.
        unix: The Unix socket that the single one belongs to; None for TCP.
    """

    __slots__ = ("_parked", "_unix", "plan", "sockets")

    def __init__(self, plan: ListenerPlan, sockets: list[socket.socket], unix: UnixSocket | None = None) -> None:
        self.plan = plan
        self.sockets = sockets
        self._unix = unix
        self._parked: set[int] = set()

    def serving(self, plan: ListenerPlan) -> "OpenListener":
        """Return the same sockets for another plan of the same address."""
        other = OpenListener(replace(plan, host=self.plan.host, port=self.plan.port), self.sockets, self._unix)
        other._parked = self._parked
        return other

    @property
    def file(self) -> UnixSocket | None:
        """Return the Unix socket; None for TCP."""
        return self._unix

    def of_worker(self, number: int) -> socket.socket:
        """Return the socket of this worker, 0 and up."""
        return self.sockets[number % len(self.sockets)]

    def park(self, number: int) -> None:
        """
        Stop listening for a worker that is dead and will not be back soon: the kernel gives its share to the others.

        What waits in its queue is reset. A listener with a single socket goes on listening: nobody else would serve.
        """
        if len(self.sockets) > 1 and number not in self._parked:
            self._parked.add(number)
            self.sockets[number].close()

    def unpark(self, number: int) -> None:
        """Listen for it again, on the port that the others have kept; raises OSError if the kernel refuses."""
        if number in self._parked:
            self.sockets[number] = _listen(self.plan.host, self.plan.port, shared=True)
            self._parked.discard(number)

    def close(self) -> None:
        """Close the supervisor's side; where no worker holds the socket either, the kernel refuses connections."""
        if self._unix is not None:
            self._unix.close()
        for each in self.sockets:
            each.close()


def open_listeners(
    plans: Iterable[ListenerPlan], workers: int, inherited: Inherited | None = None
) -> tuple[OpenListener, ...]:
    """
    Bind every listener that is not open already.

    Args:
        plans: Listeners as configured; port 0 lets the kernel choose one port for all workers.
        workers: Worker processes; 0 counts as 1.
        inherited: Sockets that this process was given.

    Raises:
        StartError: For the first listener that cannot be bound; none stays open.
    """
    opened: list[OpenListener] = []
    try:
        for plan in plans:
            _refuse_twice(plan, opened)
            given = inherited.claim(plan.name, plan.host, plan.port) if inherited else []
            opened.append(_adopt(plan, given, max(1, workers)) if given else _open(plan, max(1, workers)))
    except StartError:
        for each in opened:
            each.close()
        raise
    return tuple(opened)


def open_admin(host: str, port: int, inherited: Inherited | None = None) -> socket.socket:
    """
    Bind the admin door's TCP socket, or take the one that was given.

    Raises:
        StartError: If it cannot be bound.
    """
    if inherited is not None and (given := inherited.claim(ADMIN, host, port)):
        return given[0]
    try:
        return _listen(host, port)
    except OSError as error:
        raise _start_error("admin", str(Endpoint(host, port)), error) from error


def open_doors(plan: NodePlan, inherited: Inherited) -> tuple[socket.socket | None, UnixSocket | None]:
    """
    Open the sockets of the admin door and of the command line, or take those that were given; None for none.

    Raises:
        StartError: If one cannot be opened; none stays open then.
    """
    admin = None if plan.admin is None else open_admin(*plan.admin, inherited)
    if not plan.socket_path:
        return admin, None
    path = Path(plan.socket_path)
    given = inherited.claim(COMMAND, f"unix:{path}", 0)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return admin, UnixSocket(str(path), "command socket", 0o600, given[0] if given else None)
    except (OSError, StartError) as error:
        if admin is not None:
            admin.close()
        if isinstance(error, StartError):
            raise
        raise StartError(f"command socket: {path.parent} cannot be made: {error.strerror}") from error


def endpoint_of(sock: socket.socket) -> tuple[str, int]:
    """Return the host and port that a TCP socket is bound to."""
    host, port = sock.getsockname()[:2]
    return host, port


def _open(plan: ListenerPlan, workers: int) -> OpenListener:
    what = f"listener {plan.name}"
    if plan.host.startswith("unix:"):
        unix = UnixSocket(plan.host.removeprefix("unix:"), what)
        return OpenListener(plan, [unix.socket], unix)
    sockets: list[socket.socket] = []
    try:
        sockets.append(_listen(plan.host, plan.port))
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        host, port = endpoint_of(sockets[0])
        sockets.extend(_listen(host, port, shared=True) for _ in range(1, workers))
    except OSError as error:
        for each in sockets:
            each.close()
        raise _start_error(what, str(plan), error) from error
    return OpenListener(replace(plan, host=host, port=port), sockets)


def _adopt(plan: ListenerPlan, given: list[socket.socket], workers: int) -> OpenListener:
    """Listen on sockets that are open: as many as there are workers if they share their port, else on the only one."""
    what = f"listener {plan.name}"
    host, port = address_of(given[0])
    if host.startswith("unix:"):
        return OpenListener(replace(plan, host=host, port=0), given[:1], UnixSocket(host[5:], what, given=given[0]))
    shared = bool(given[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
    try:
        for each in given:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # this and the next: for what it accepts
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shared:
            given += [_listen(host, port, shared=True) for _ in range(len(given), workers)]
    except OSError as error:
        for each in given:
            each.close()
        raise _start_error(what, str(plan), error) from error
    for each in given[workers:]:
        each.close()
    return OpenListener(replace(plan, host=host, port=port), given[:workers])


def _listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    try:
        return _listen_on(host, port, shared)
    except OSError as error:
        if host != "::" or error.errno not in _NO_IPV6:
            raise
        return _listen_on("0.0.0.0", port, shared)


def _listen_on(host: str, port: int, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # this and the next: for what it accepts
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        sock.bind((host, port))
        sock.listen(bounds.LISTEN_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _refuse_twice(plan: ListenerPlan, opened: list[OpenListener]) -> None:
    for each in opened:
        if (each.plan.host, each.plan.port) == (plan.host, plan.port):
            raise StartError(f"listener {plan.name}: {plan} is already taken by listener {each.plan.name}")


def _remove_stale(path: str, what: str) -> None:
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise StartError(f"{what}: unix:{path} exists and is no socket; remove it or choose another path")
        if _is_live(path):
            raise StartError(f"{what}: unix:{path} is in use by another process")
        Path(path).unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _start_error(what, f"unix:{path}", error) from error


def _is_live(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        code = probe.connect_ex(path)
    if code in (errno.ECONNREFUSED, errno.ENOENT):
        return False
    if code in (0, errno.EAGAIN, errno.EPROTOTYPE):  # EAGAIN: its queue is full; EPROTOTYPE: it speaks datagrams
        return True
    raise OSError(code, os.strerror(code))


def _identity(path: str) -> tuple[int, int]:
    status = Path(path).lstat()
    return status.st_dev, status.st_ino


def _start_error(what: str, address: str, error: OSError) -> StartError:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return StartError(f"{what}: {address} {reason}" if reason.startswith("is ") else f"{what}: {address}: {reason}")
