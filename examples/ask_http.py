"""
An HTTP service says who may pass, within three seconds; what it does not answer in time does not pass.

    python examples/ask_http.py 127.0.0.1:8080 example.com:80 http://127.0.0.1:9000/may
"""

import asyncio
import sys

import httpx2

from penstock import Block, Facts, Listener, Penstock, Route


async def main(listen: str, target: str, service: str) -> None:
    """Forward to `target` what `service` answers with 200."""
    client: httpx2.AsyncClient | None = None

    async def decide(facts: Facts) -> Block | None:
        nonlocal client  # made where it is used: async handlers share an event loop that is not the program's
        client = client or httpx2.AsyncClient(trust_env=False)
        answer = await client.get(service, params={"client": facts.client})
        return None if answer.status_code == 200 else Block(f"the service says {answer.status_code}")

    listener = Listener(listen, "tcp", name="main")
    route = Route("asked", targets=[target], handler=decide, handler_timeout="3s")
    async with Penstock(listeners=[listener], routes=[route]) as proxy:
        host, port = proxy.addresses["main"]
        print(f"listening on {host}:{port}", flush=True)
        await proxy.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
