"""A real node in processes of its own, for tests of whatever talks through it."""

import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.testing.workbench import PATIENCE_S, wait_for

BEGIN_S = 180.0
"""How long a node may take to begin; its second of CPU took two minutes where ten others shared two cores."""

STOP_S = 40.0
"""How long a node may take to end; its drain is cut after 30 s by default."""

ROW_KEYS = ("bytes_in", "bytes_out", "target_tx", "target_rx")
"""The four counters of a listener, in the order in which `bytes_of` returns them."""


class RunningNode:
    """
    A node that serves.

    What it has written is known: who asks what it has logged reads first what waits in the pipe, so that a line that
    stood there before is never missed. A thread reads meanwhile, because a pipe that is full would stop the node.

    Args:
        process: Its supervisor, whose standard error is a pipe of JSON lines.

    Attributes:
        process: The same.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self.process = process
        self._events: list[dict[str, Any]] = []
        self._strays: list[str] = []
        self._pipe, self._begun, self._lock = process.stderr.fileno(), b"", threading.Lock()
        os.set_blocking(self._pipe, False)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        waiting = select.poll()
        waiting.register(self._pipe, select.POLLIN)
        while self._take():
            waiting.poll()

    def _take(self) -> bool:
        """Read what is in the pipe, and return whether more can come."""
        with self._lock:
            try:
                while data := os.read(self._pipe, 65_536):
                    *lines, self._begun = (self._begun + data).split(b"\n")
                    self._keep(lines)
            except BlockingIOError:
                return True
            self._keep([self._begun] if self._begun else [])
            self._begun = b""
        return False

    def _keep(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                self._events.append(json.loads(line))
            except ValueError:
                self._strays.append(line.decode(errors="replace") + "\n")

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return what it has logged so far."""
        self._take()
        return list(self._events)

    @property
    def strays(self) -> list[str]:
        """Return what it wrote to standard error besides; a traceback would stand here."""
        self._take()
        return self._strays

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the logged events of this name."""
        return [each for each in self.events if each["event"] == event]

    def await_ready(self) -> None:
        """Wait until it serves."""
        wait_for(lambda: self.logged("node ready") or self.process.poll() is not None, "a node that is ready", BEGIN_S)
        assert self.logged("node ready"), f"the node ended with {self.process.wait()}: {self.events} {self.strays}"

    # Where it is -----------------------------------------------------------------------------------------------------

    def address(self, listener: str) -> tuple[str, int]:
        """Return where a listener listens."""
        (found,) = (each["address"] for each in self.logged("listening") if each["listener"] == listener)
        return _split(found)

    def url(self, listener: str, scheme: str = "http") -> str:
        """Return a listener's address as clients want it; an IPv6 address in brackets."""
        host, port = self.address(listener)
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def admin(self) -> tuple[str, int]:
        """Return where the admin door is."""
        return _split(self.logged("node ready")[0]["admin"])

    # What it says ----------------------------------------------------------------------------------------------------

    def fetch(self, path: str, **headers: str) -> bytes:
        """Return what the admin door answers with 200."""
        with contextlib.closing(http.client.HTTPConnection(*self.admin, timeout=PATIENCE_S)) as door:
            door.request("GET", path, headers=headers)
            answer = door.getresponse()
            body = answer.read()
        assert answer.status == 200, body
        return body

    def stats(self) -> dict[str, Any]:
        """Return `/api/v1/stats`."""
        found: dict[str, Any] = json.loads(self.fetch("/api/v1/stats"))
        return found

    def listener(self, name: str) -> dict[str, Any]:
        """Return what `/api/v1/stats` says of a listener."""
        found: dict[str, Any] = next(each for each in self.stats()["listeners"] if each["name"] == name)
        return found

    def until(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until `/api/v1/stats` fulfils the condition, and return it."""
        found: list[dict[str, Any]] = [self.stats()]

        def look() -> Any:
            found[0] = self.stats()
            return condition(found[0])

        wait_for(look, "a condition on /api/v1/stats")
        return found[0]

    def settled(self, name: str, connections: int) -> dict[str, Any]:
        """Wait until a listener has had so many connections and none is open, and return what is said of it."""
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.listener(name))
            return found["connections"] >= connections and not found["active"]

        try:
            wait_for(look)
        finally:
            assert (found["connections"], found["active"]) == (connections, 0), found
        return found

    def at_rest(self) -> dict[str, Any]:
        """Wait until no connection is open, by a look that is not from before this call; return `/api/v1/stats`."""
        asked = datetime.now(UTC)

        def rests(stats: dict[str, Any]) -> bool:
            return not stats["totals"]["active"] and datetime.fromisoformat(stats["taken_at"]) >= asked

        return self.until(rests)

    def worker_pids(self) -> list[int]:
        """Return the processes of its workers."""
        pids: list[int] = self.stats()["workers"]["pids"]
        return pids

    # Its end ---------------------------------------------------------------------------------------------------------

    def stop(self) -> int:
        """Let it drain, unless it has said that it ends, and return its exit code: a signal then would be its end."""
        succeeded = self.logged("upgraded: the new process serves, this one drains")
        if not self.logged("the old process ends" if succeeded else "node ended"):
            self.process.terminate()
        code = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        return code


def bytes_of(listener: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return the bytes from clients, to clients, to targets and from targets."""
    received, sent, to_target, from_target = (listener[key] for key in ROW_KEYS)
    return received, sent, to_target, from_target


def table(name: str, protocol: str, *targets: int, listen: str = "127.0.0.1:0", **more: Any) -> str:
    """Return a listener as TOML that sends to these ports of loopback."""
    fields: dict[str, Any] = {"name": name, "protocol": protocol, "listen": listen}
    if targets:
        fields["targets"] = [f"127.0.0.1:{port}" for port in targets]
    lines = [f"{key} = {json.dumps(value)}" for key, value in (fields | more).items()]
    return "\n".join(["[[listener]]", *lines, ""])


@contextlib.contextmanager
def running(
    *tables: str,
    workers: int = 1,
    descriptors: int | None = None,
    killed: bool = False,
    words: tuple[str, ...] = (),
    folder: Path | None = None,
) -> Iterator[RunningNode]:
    """
    Run a node for as long as the block lasts; it must end well, and must have had no internal error.

    Args:
        tables: Its configuration, in pieces.
        workers: Worker processes.
        descriptors: Limit of open files for each of its processes; None for this process's own.
        killed: Whether the test kills workers, whose connections then end as internal and that is said, or the node.
        words: More arguments of `penstock run`.
        folder: Where it keeps everything; None for a place of its own that is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-") as own:
        path = Path(folder or own, "penstock.toml")
        path.write_text("\n".join(tables))
        node = RunningNode(_start(path, workers, descriptors, words))
        try:
            node.await_ready()
            yield node
            if not killed:
                _check_outcomes(node)
            if not (killed and node.process.poll() == -signal.SIGKILL):
                assert node.stop() == 0, (node.events, node.strays)
        finally:
            node.process.kill()
            node.process.wait()
        assert not node.strays, "".join(node.strays)
        errors = [each for each in node.events if each["level"] == "error"]
        assert killed or not errors, errors


def environment(folder: Path | str) -> dict[str, str]:
    """Return the environment of a node that keeps everything in one folder, and knows no setting of this machine."""
    folders = dict.fromkeys(("PENSTOCK_RUNTIME_DIR", "HOME", "XDG_STATE_HOME"), str(folder))
    return {"PATH": os.environ["PATH"], **folders}


def _start(path: Path, workers: int, descriptors: int | None, words: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable, "-m", "penstock.cli", "run", "--config", str(path), "--workers", str(workers),
        "--admin", "127.0.0.1:0", "--log-format", "json", *words,
    ]  # fmt: skip

    if descriptors is not None:
        command = ["prlimit", f"--nofile={descriptors}:{descriptors}", *command]  # util-linux, on every Debian
    return subprocess.Popen(  # noqa: S603 - our own command
        command, stderr=subprocess.PIPE, env=environment(path.parent), cwd=path.parent
    )


def _check_outcomes(node: RunningNode) -> None:
    outcomes = node.at_rest()["outcomes"]
    wrong = [each for each in outcomes if each["count"] and each["ended_by"] in ("internal", "reaped")]
    assert not wrong, wrong


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
