"""
Clients go to targets of their own, by a table that changes while the proxy runs.

    python examples/lookup.py 127.0.0.1:1080
    add ann 127.0.0.1:9001            (standard input: users and where they go)
    curl --socks5-hostname ann:secret@127.0.0.1:1080 http://anything/
"""

import asyncio
import sys

from penstock import Block, Facts, Forward, Listener, Penstock, Route

TABLE: dict[str, str] = {}


def decide(facts: Facts) -> Forward | Block:
    """Send a client to its own target. Called in a thread: a dict's reads and writes need no lock."""
    target = TABLE.get(facts.user)
    return Forward(target) if target else Block(f"{facts.user} has no target")


async def main(listen: str) -> None:
    """Serve SOCKS5 clients, and read changes of the table from standard input."""
    listener = Listener(listen, "socks5", name="main", users={"ann": "secret", "bob": "secret"})
    async with Penstock(listeners=[listener], routes=[Route("by-user", handler=decide)]) as proxy:
        host, port = proxy.addresses["main"]
        print(f"listening on {host}:{port}", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            _, user, target = line.split()
            TABLE[user] = target
            print(f"{user} goes to {target}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
