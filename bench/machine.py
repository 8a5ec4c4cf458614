"""The machine: what it is, which core does what, and the kernel settings that a run widens and puts back."""

import contextlib
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.proxies import PROXIES, Proxy

SYSCTLS = {
    "net/ipv4/ip_local_port_range": "10240 65000",
    "net/ipv4/tcp_tw_reuse": "1",
    "kernel/sched_autogroup_enabled": "0",
}
"""Short connections use up local ports: so 55,000 of them, taken again after a second instead of a minute. Servers of a
run listen below 10240, where no client port can be in their way. Processes are scheduled one by one, as those of a
service or a container are, and not session by session: else a nice value counts within a session alone, and a proxy
whose workers have sessions of their own gets another share of a core than one that has none."""

DESCRIPTOR_MARGIN = 320
"""Descriptors of a proxy that are not connections; the rest of its limit is shared by the two ends of each."""


@dataclass(frozen=True)
class Cores:
    """
    Which core does what; None where there is but one and nothing is pinned.

    Args:
        load: Clients and origins.
        proxy: The proxy under test.
    """

    load: int | None
    proxy: int | None


def cores() -> Cores:
    """Return the first allowed core for load and origins and the second for proxies, or no pinning on a single core."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1]) if len(allowed) > 1 else Cores(None, None)


@contextmanager
def widened(root: Path = Path("/proc/sys")) -> Iterator[str]:
    """
    Widen the port range and reuse for the length of a run, as far as we may.

    Args:
        root: Where the settings are.

    Yields:
        What was done, in words for the page.
    """
    before: dict[Path, str] = {}
    try:
        for name, value in SYSCTLS.items():
            path = root / name
            with contextlib.suppress(FileNotFoundError):  # this kernel schedules no sessions
                old = path.read_text()
                path.write_text(value)
                before[path] = old
        said = (
            f"`{path.relative_to(root).as_posix().replace('/', '.')} = {path.read_text().strip()}`" for path in before
        )
        yield ", ".join(said) + " during the run"
    except PermissionError:
        yield "kernel settings as found (not run as root: short connections may run out of ports)"
    finally:
        for path, old in before.items():
            path.write_text(old)


def idle_connections(wanted: int) -> int:
    """Return how many connections a proxy can hold under the descriptor limit, at most `wanted`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, (hard - DESCRIPTOR_MARGIN) // 2)


def facts() -> dict[str, str]:
    """Return what describes this machine on the page: processor, cores, memory, kernel, system, Python."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name", ":"),
        "cores": str(os.cpu_count()),
        "memory": _gigabytes(_field(Path("/proc/meminfo"), "MemTotal", ":")),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _field(Path("/etc/os-release"), "PRETTY_NAME", "=").strip('"'),
        "python": f"{platform.python_implementation()} {platform.python_version()} {_build()}",
    }


def installed(proxy: Proxy) -> bool:
    """Return whether a proxy's program is there."""
    return shutil.which(proxy.program, path=_path()) is not None


def missing(programs: tuple[str, ...] = ("wrk", "iperf3", "nginx", "taskset")) -> list[str]:
    """Return the programs that a run cannot do without and that are not there."""
    return [program for program in programs if shutil.which(program, path=_path()) is None]


def versions(names: list[str]) -> dict[str, str]:
    """Return the version of each proxy and of the two load makers."""
    found = {name: _version(PROXIES[name]) for name in names}
    return found | {tool: _debian(tool) for tool in ("wrk", "iperf3")}


def _version(proxy: Proxy) -> str:
    if proxy.package:
        return _debian(proxy.package)
    try:
        return version("penstock")
    except PackageNotFoundError:
        return "unknown"


def _build() -> str:
    """Who built the interpreter: without a profile to guide it a build costs a worker about a tenth more."""
    program = os.path.realpath(sys.executable)
    try:
        asked = ["dpkg-query", "--search", program]
        owner = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.partition(":")[0]
    except (OSError, subprocess.CalledProcessError):
        return "(not a package of Debian)"
    return f"({owner} {_debian(owner)})"


def _debian(package: str) -> str:
    try:
        asked = ["dpkg-query", "--show", "--showformat=${Version}", package]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _field(path: Path, name: str, separator: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return "unknown"
    for line in lines:
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip()
    return "unknown"


def _gigabytes(kilobytes: str) -> str:
    number = kilobytes.removesuffix(" kB")
    return f"{int(number) * 1024 / 1e9:.0f} GB" if number.isdigit() else kilobytes


def _path() -> str:
    # An ordinary user's PATH often lacks the directory where Debian puts haproxy, nginx and danted.
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
