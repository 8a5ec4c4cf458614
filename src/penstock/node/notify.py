"""What systemd is told of a service: sd_notify(3), one datagram to the socket that NOTIFY_SOCKET names."""

import os
import socket
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """
    Tell systemd how we are.

    Args:
        state: Such as `READY=1`; lines for several.
        environ: Without NOTIFY_SOCKET nobody wants to know.

    Returns:
        Whether it was told.
    """
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            sock.connect("\0" + path[1:] if path[0] == "@" else path)
            sock.send(state.encode())
    except (OSError, ValueError):  # a path too long, a zero in it, nobody there: the node matters more
        return False
    return True
