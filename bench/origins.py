"""What stands behind proxies: nginx with one small answer, iperf3, an echo that holds connections, or a pump. Pure."""

import sys

from bench.proxies import LOOPBACK, PAIR, Launch, Place, nginx_command
from bench.scenarios import BIG, PASSTHROUGH, TERMINATE, Idle, Iperf, Light, Load, Shaped

ANSWER = b"sixteen bytes..."
"""The body that the HTTP origin answers with: small, so that a round measures the proxy's own work per unit."""


def origin_for(load: Load, place: Place) -> Launch:
    """
    Choose the origin of a load.

    Args:
        load: What the clients will do.
        place: Where the origin listens; its target and kind are unused.

    Returns:
        What starts it.
    """
    match load:
        case Iperf():
            return Launch(("iperf3", "-s", "-B", LOOPBACK, "-p", str(place.port)))
        case Shaped():
            return Launch((sys.executable, "-m", "bench.pump", "origin", f"{LOOPBACK}:{place.port}"))
        case Idle() | Light():
            return Launch((sys.executable, "-m", "bench.idle", "origin", f"{LOOPBACK}:{place.port}"))
        case _:
            return http_origin(place)


def http_origin(place: Place) -> Launch:
    """Return one nginx worker that answers every request alike, for ever on one connection, and logs nothing."""
    secure = place.kind == PASSTHROUGH
    tls = f"ssl_certificate {PAIR}; ssl_certificate_key {PAIR};" if secure else ""
    files = {PAIR: place.pair} if secure else {}
    if place.kind == TERMINATE:
        files["big"] = "x" * round(BIG * 1e9)
    config = f"""\
daemon off;
worker_processes 1;
pid {place.directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {place.directory};
    proxy_temp_path {place.directory};
    fastcgi_temp_path {place.directory};
    uwsgi_temp_path {place.directory};
    scgi_temp_path {place.directory};
    server {{
        listen {LOOPBACK}:{place.port} {"ssl" if secure else ""} backlog=4096;
        {tls}
        location = /big {{ root {place.directory}; }}
        location / {{ return 200 "{ANSWER.decode()}"; }}
        location /varied/ {{ add_header X-Request-Id $request_id; return 200 "{ANSWER.decode()}"; }}
    }}
}}
"""
    return Launch(nginx_command(place.directory), {"nginx.conf": config, **files})
