"""Servers of a run: started in the foreground on ports of their own, awaited, and ended with all they forked."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import proc
from bench.certificates import pair
from bench.proxies import LOOPBACK, Launch, Place
from bench.scenarios import PASSTHROUGH, TERMINATE

PORTS = range(5_000, 10_240)
"""Where servers listen: below the ports that clients are given (machine.SYSCTLS), so that no load is in their way."""

READY_S = 15.0
"""The longest wait for a server's port: Penstock starts Python twice on a core that others may be using."""

STOP_S = 5.0
"""The longest wait for a server to end by itself after TERM."""

ROOT = Path(__file__).resolve().parent.parent


SECURE = (TERMINATE, PASSTHROUGH)
"""Kinds that need a certificate."""


class ServerError(Exception):
    """A server did not come up; the message has its last words."""


def free_ports(count: int) -> list[int]:
    """
    Find ports to listen on.

    Args:
        count: How many.

    Returns:
        Different ports of `PORTS` that nobody is bound to now.

    Raises:
        ServerError: If there are not as many.
    """
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(found) == count:
            return found
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            found.append(port)
    raise ServerError("no free ports")


@contextmanager
def new_place(target: int, kind: str, connections: int) -> Iterator[Place]:
    """
    Make room for one server.

    Args:
        target: The port of the origin behind it; 0 if it is one itself.
        kind: What it has to speak.
        connections: The most client connections it has to hold.

    Yields:
        A place with a directory that lasts as long as the context.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        port, admin, aside = free_ports(3)
        yield Place(Path(directory), port, target, admin, kind, connections, pair() if kind in SECURE else "", aside)


@contextmanager
def serving(launch: Launch, place: Place, core: int | None) -> Iterator[int]:
    """
    Run one server.

    Args:
        launch: What starts it.
        place: Where it listens.
        core: The core that it is bound to, with all its children; None for any.

    Yields:
        Its pid, once its port accepts, and that of a second server behind it.

    Raises:
        ServerError: If it ends or does not accept in time.
    """
    for name, text in launch.files.items():
        (place.directory / name).write_text(text)
    pinned = ["taskset", "-c", str(core), *launch.argv] if core is not None else list(launch.argv)
    words = Path(os.devnull) if launch.silenced else place.directory / "words"
    with words.open("wb") as out:
        process = subprocess.Popen(
            pinned,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=_environment(),
            cwd=ROOT,
        )
    try:
        for port in filter(None, (launch.behind, place.port)):
            _await_port(process, port, words)
        yield process.pid
    finally:
        _stop(process)


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"}


def _await_port(process: subprocess.Popen[bytes], port: int, words: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.02)
    last = " | ".join(words.read_text(errors="replace").strip().splitlines()[-3:])
    how = "not ready in time" if process.returncode is None else f"ended with {process.returncode}"
    raise ServerError(f"{how}: {last}" if last else how)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    # What is left is in the session that we made for it: a mother may have gone before her children.
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline and (left := living(process.pid)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    process.wait()


def living(root: int) -> list[int]:
    """Return the pids of a server's processes that have not ended."""
    return [stat.pid for stat in proc.family(root) if stat.state != "Z"]
