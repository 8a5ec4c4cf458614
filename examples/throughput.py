"""
A proxy in your program that shows what its open connections move.

    python examples/throughput.py 127.0.0.1:8080 example.com:80
"""

import asyncio
import sys

from penstock import Listener, Penstock


async def main(listen: str, target: str) -> None:
    """Forward connections from `listen` to `target`, and print a line a second for each."""
    async with Penstock(listeners=[Listener(listen, "tcp", name="main", targets=[target])]) as proxy:
        host, port = proxy.addresses["main"]
        print(f"listening on {host}:{port}", flush=True)
        before: dict[int, int] = {}
        while True:
            await asyncio.sleep(1)
            now = {each.id: each.bytes_in + each.bytes_out for each in proxy.connections()}
            for each in proxy.connections():
                moved = now.get(each.id, 0) - before.get(each.id, 0)
                print(f"{each.client}: {moved} B in the last second, {now.get(each.id, 0)} B in all", flush=True)
            before = now


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
