"""An echo server in a process of its own: it has descriptors for as many clients as the test has."""

import asyncio
import resource
import sys


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport):
        """Remember whom to answer."""
        self.transport = transport

    def data_received(self, data):
        """Answer."""
        self.transport.write(data)


async def main():
    """Serve until killed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4_096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


asyncio.run(main())
