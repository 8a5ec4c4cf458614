"""Real stores of series on loopback: Prometheus and VictoriaMetrics, each with a folder and a port of its own."""

import contextlib
import json
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

SECONDS = 30

PATIENCE = 90
"""Seconds until a store should have what it was told: it looks once a second, and ten of its looks are needed."""


def eventually(condition, what):
    """Return what `condition` returns once it is true. Each look costs a store some work, so there are ten a second."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.1)
    return found


class Store:
    """
    A store that runs.

    Args:
        process: It.
        ready: Path that answers 200 when it serves.
    """

    def __init__(self, process, ready):
        self.process = process
        self.port = eventually(lambda: listening(process.pid), "a store that listens")
        eventually(lambda: self.answers(ready), "a store that serves")

    def url(self, path="", **query):
        """Return where it is."""
        asked = "?" + urllib.parse.urlencode(query) if query else ""
        return f"http://127.0.0.1:{self.port}{path}{asked}"

    def answers(self, path):
        """Return whether a path answers 200."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=SECONDS) as answer:
                return answer.status == 200
        except OSError:
            return False

    def get(self, path, **query):
        """Return the text that a path answers with."""
        with urllib.request.urlopen(self.url(path, **query), timeout=SECONDS) as answer:
            return answer.read().decode()

    def query(self, promql):
        """Return what an instant query of Prometheus' API finds."""
        return json.loads(self.get("/api/v1/query", query=promql))["data"]["result"]


def listening(pid):
    """Return the TCP port that a process listens on; None if it has none yet."""
    with contextlib.suppress(OSError):
        links = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:  # proc(5): state 0A listens; inode is tenth
                return int(fields[1].rpartition(":")[2], 16)
    return None


@contextlib.contextmanager
def prometheus(target, interval="1s"):
    """Run a Prometheus that scrapes this (host, port)."""
    with tempfile.TemporaryDirectory(prefix="prometheus-") as folder:
        Path(folder, "p.yml").write_text(
            f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
            f"scrape_configs: [{{job_name: penstock, static_configs: [{{targets: ['{target[0]}:{target[1]}']}}]}}]\n"
        )
        command = ["prometheus", "--config.file=p.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]
        with _running(command, folder, "/-/ready") as store:
            yield store


@contextlib.contextmanager
def victoria(folder, port=0, scrape=None):
    """Run a VictoriaMetrics with its data in a folder; it scrapes this (host, port) if there is one."""
    command = [
        "victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}", "-storageDataPath=data", "-memory.allowedBytes=64MB",
        "-retentionPeriod=1",
    ]  # fmt: skip
    if scrape is not None:
        Path(folder, "scrape.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: penstock, static_configs: [{{targets: ['{scrape[0]}:{scrape[1]}']}}]}}]\n"
        )
        command.append("-promscrape.config=scrape.yml")
    with _running(command, folder, "/health") as store:
        yield store


@contextlib.contextmanager
def _running(command, folder, ready):
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Store(process, ready)
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()
            process.wait()


def exported(store):
    """Return every raw series of a VictoriaMetrics: labels, then times (ms) and values, by rising time."""
    store.get("/internal/force_flush")
    found = {}
    for line in store.get("/api/v1/export", **{"match[]": '{__name__!=""}'}).splitlines():
        series = json.loads(line)
        found[tuple(sorted(series["metric"].items()))] = sorted(
            zip(series["timestamps"], series["values"], strict=True)
        )
    return found
