"""Metrics sent by HTTP POST: to a series store as Prometheus text, to OpenTelemetry as OTLP."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime

import httpx2

from penstock.base.clock import NS
from penstock.base.urls import Url, parse_url
from penstock.metrics.exporters.compat import served
from penstock.metrics.exporters.prometheus import Format, render_push
from penstock.metrics.snapshot import Snapshot
from penstock.node.exports.delivery import DeliveryError
from penstock.node.usage import UsageMeter

TIMEOUT_S = 10.0
"""For one delivery, from connecting to the answer; OpenTelemetry's and Prometheus' exporters give up after 10 s too."""

ANSWER_BYTES = 4_096
"""Read of an answer: enough for a sentence about what was wrong."""

PUSH_PATH = "/api/v1/import/prometheus"
"""Where VictoriaMetrics takes Prometheus text; a URL without a path means this."""

OTLP_PATH = "/v1/metrics"
"""Where OTLP over HTTP goes; a URL without a path means this (OTLP specification, OTLP/HTTP request)."""

Render = Callable[[Snapshot], bytes]


class HttpReceiver:
    """
    Posts to an HTTP server.

    Args:
        kind: What it is called in the log.
        url: Where it is; its login is sent as Basic, and shown nowhere.
        path: Where that goes if the URL names no path.
        headers: What the body is.
        render: Makes the body of a snapshot, in a thread.
    """

    patient = True

    def __init__(self, kind: str, url: Url, path: str, headers: Mapping[str, str], render: Render) -> None:
        self.kind, self._render = kind, render
        wanted = url if url.path != "/" else url._replace(path=path)
        self.shown = str(wanted)
        self._url = str(httpx2.URL(scheme=url.scheme, host=url.host, port=url.port, raw_path=wanted.path.encode()))
        self._client = httpx2.AsyncClient(
            auth=(url.user, url.password) if url.user or url.password else None,
            headers=dict(headers),
            timeout=TIMEOUT_S,
            trust_env=False,  # what is sent where stands in the configuration
            verify=ssl.create_default_context() if url.scheme == "https" else False,
        )

    async def deliver(self, snapshot: Snapshot) -> None:
        """
        Post one snapshot.

        Raises:
            DeliveryError: If nobody answers in time, or not with success.
        """
        body = await asyncio.to_thread(self._render, snapshot)
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client.stream("POST", self._url, content=body) as answer:
                said = await _beginning(answer)
        except TimeoutError:
            raise DeliveryError(f"no answer within {TIMEOUT_S:g} s") from None
        except (httpx2.HTTPError, OSError) as error:
            raise DeliveryError(str(error) or type(error).__name__) from error
        if not answer.is_success:
            raise DeliveryError(f"answered {answer.status_code}: {said}")

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


async def _beginning(answer: httpx2.Response) -> str:
    """Return the beginning of what a receiver says, as one line; the rest is not read."""
    said = b""
    if answer.is_success:
        return ""
    async for chunk in answer.aiter_raw(ANSWER_BYTES):
        said = chunk
        break
    return said[:ANSWER_BYTES].decode("utf-8", "replace").strip()


def push_receiver(url: str, node: str, *, compat_names: bool) -> HttpReceiver:
    """
    Return who takes Prometheus text.

    Args:
        url: As configured.
        node: Name of the node; the label `instance`.
        compat_names: Whether older families are sent too.
    """
    meter, labels = UsageMeter(), {"job": "penstock", "instance": node}

    def render(snapshot: Snapshot) -> bytes:
        found = served(snapshot, meter.read(snapshot.workers.pids), compat_names=compat_names)
        return render_push(found, labels, taken_ns(snapshot.taken_at) // (NS // 1_000))

    headers = {"Content-Type": Format.TEXT.value, "Content-Encoding": "gzip"}
    return HttpReceiver("push", parse_url(url), PUSH_PATH, headers, render)


def otlp_receiver(url: str, *, compat_names: bool) -> HttpReceiver:
    """
    Return who takes OTLP.

    Args:
        url: As configured.
        compat_names: Whether older families are sent too.

    Raises:
        ImportError: If the extra `penstock[otlp]` is not installed.
    """
    from penstock.metrics.exporters import otlp  # noqa: PLC0415 - it comes with an extra

    meter, host = UsageMeter(), socket.gethostname()

    def render(snapshot: Snapshot) -> bytes:
        found = served(snapshot, meter.read(snapshot.workers.pids), compat_names=compat_names)
        node = snapshot.node
        source = otlp.Source(
            node=node.name,
            host=host,
            version=node.version,
            started_ns=taken_ns(node.counts_since),
            now_ns=taken_ns(snapshot.taken_at),
        )
        return otlp.render(found, snapshot.endings.exact, source)

    return HttpReceiver("otlp", parse_url(url), OTLP_PATH, {"Content-Type": "application/x-protobuf"}, render)


def taken_ns(moment: str) -> int:
    """Return a time of a snapshot, RFC 3339 to the millisecond; unit ns since the epoch."""
    return round(datetime.fromisoformat(moment).timestamp() * 1_000) * (NS // 1_000)
