"""A real ACME server for tests: Debian's pebble, and the DNS server beside it that says that every name is here."""

import contextlib
import json
import os
import secrets
import socket
import ssl
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from penstock.testing.certificates import Authority
from penstock.testing.workbench import wait_for

SECONDS = 20


def own_host():
    """Return an address of loopback that nobody else uses: what is free there stays free, whatever else runs here."""
    return ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])


def free_ports(host, count):
    """Return ports of an address that nobody has just now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server((host, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in found]


@dataclass
class Pebble:
    """
    One ACME server.

    Attributes:
        folder: Its files; nothing else is in it.
        host: Its address, and that of every name.
        http_port, tls_port: Where it looks for proofs.
        directory: URL of its directory.
        ca: PEM file of who issued its own certificate.
        roots: PEM file of who it is itself, once it runs.
    """

    folder: Path
    host: str = field(default_factory=own_host)

    def __post_init__(self):
        """Write its configuration."""
        ports = free_ports(self.host, 6)
        listen, management, self.http_port, self.tls_port, self._dns, self._dns_management = ports
        authority = Authority(self.folder)
        pair = authority.issue(self.host)
        self.ca, self.directory = authority.file, f"https://{self.host}:{listen}/dir"
        self._listen, self._management = listen, management
        settings = {
            "listenAddress": f"{self.host}:{listen}",
            "managementListenAddress": f"{self.host}:{management}",
            "certificate": pair.cert,
            "privateKey": pair.key,
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
        }
        self.config = self.folder / "pebble.json"
        self.config.write_text(json.dumps({"pebble": settings}))
        self.roots = str(self.folder / "roots.pem")

    def settings(self, **more):
        """Change its configuration, before it runs."""
        held = json.loads(self.config.read_text())["pebble"]
        self.config.write_text(json.dumps({"pebble": held | more}))

    @contextlib.contextmanager
    def running(self, refused_nonces=5):
        """Run it for as long as the block lasts; of a hundred nonces that are right it refuses so many."""
        dns = f"{self.host}:{self._dns}"
        beside = [
            "pebble-challtestsrv", "-defaultIPv4", self.host, "-defaultIPv6", "", "-dns01", dns, "-http01", "",
            "-https01", "", "-tlsalpn01", "", "-management", f"{self.host}:{self._dns_management}",
        ]  # fmt: skip
        server = ["pebble", "-config", str(self.config), "-dnsserver", dns, "-strict"]
        environ = {"PATH": os.environ["PATH"], "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}
        environ["PEBBLE_WFE_NONCEREJECT"] = str(refused_nonces)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((self.folder / "pebble.log").open("ab"))
            for command in (beside, server):
                process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, env=environ))
                stack.callback(process.kill)
            for port in (self._dns_management, self._listen, self._management):
                wait_for(lambda port=port: _answers(self.host, port), f"port {port} of pebble")
            self._fetch_roots()
            yield self

    def _fetch_roots(self):
        context = ssl.create_default_context(cafile=self.ca)
        url = f"https://{self.host}:{self._management}/roots/0"
        with urllib.request.urlopen(url, context=context, timeout=SECONDS) as answer:
            Path(self.roots).write_bytes(answer.read())

    def log(self):
        """Return what it has said."""
        return (self.folder / "pebble.log").read_text()


def _answers(host, port):
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError:
        return False
    return True
