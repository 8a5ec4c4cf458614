"""A node within another program: a guest of its event loop."""

import asyncio
import logging
import subprocess
import sys
import threading

import pytest

import penstock
from penstock import ConfigurationError, Listener, Penstock, StartError
from penstock.testing import peers

from .conftest import in_a_loop, refuses, until


@pytest.fixture
def echo():
    """The port of a target that echoes."""
    with peers.serving(peers.echo) as server:
        yield server.port


def serving(port, name="web"):
    """Return a listener that sends to this port."""
    return Listener("127.0.0.1:0", name=name, targets=[f"127.0.0.1:{port}"])


async def ask(address, data=b"hello"):
    """Send something through a proxy, and return its echo."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    answer = await reader.readexactly(len(data))
    writer.close()
    await writer.wait_closed()
    return answer


def threads():
    """Return the names of the worker threads that run."""
    return [each.name for each in threading.enumerate() if each.name.startswith("penstock-worker")]


@in_a_loop
async def test_a_proxy_serves_in_the_callers_loop(echo, capsys, caplog):
    """Addresses, metrics, connections, close and audit work; standard output stays the program's."""
    caplog.set_level(logging.INFO, "penstock")
    async with Penstock(listeners=[serving(echo)]) as proxy:
        assert proxy.ready
        assert proxy.admin is None
        host, port = proxy.addresses["web"]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"12345")
        assert await reader.readexactly(5) == b"12345"
        await until(lambda: proxy.metrics.totals.bytes_in == 5)
        (connection,) = proxy.connections()
        assert connection.listener == "web"
        assert proxy.metrics.connections.active == 1
        assert (await proxy.audit()).residual_bytes
        assert proxy.history(10).step == 1
        assert await proxy.close_connection(connection.id)
        assert await reader.read() == b""
        writer.close()
        await until(lambda: proxy.metrics.connections.active == 0)
        assert not await proxy.close_connection(connection.id)
    assert refuses((host, port))
    assert capsys.readouterr() == ("", "")
    assert any("node ready" in record.getMessage() for record in caplog.records)


@in_a_loop
async def test_two_proxies_are_strangers(echo):
    """Two in one process have numbers and ends of their own."""
    async with Penstock(listeners=[serving(echo)]) as first:
        async with Penstock(listeners=[serving(echo)]) as second:
            assert await ask(second.addresses["web"]) == b"hello"
            await until(lambda: second.metrics.connections.total == 1)
            assert first.metrics.connections.total == 0
        assert await ask(first.addresses["web"]) == b"hello"
        assert refuses(second.addresses["web"])
    await until(lambda: not threads())


@in_a_loop
async def test_an_exception_in_the_body_ends_the_proxy(echo):
    """It passes through as it is, and nothing is left running."""
    proxy = Penstock(listeners=[serving(echo)])
    with pytest.raises(ZeroDivisionError):
        async with proxy:
            raise ZeroDivisionError
    assert refuses(proxy.addresses["web"])
    await until(lambda: not threads())


@in_a_loop
async def test_a_cancelled_body_ends_the_proxy(echo):
    """The task is cancelled when the proxy has ended, not before, even if it is cancelled again meanwhile."""
    running = asyncio.get_running_loop().create_future()

    async def body():
        async with Penstock(listeners=[serving(echo)]) as proxy:
            running.set_result(proxy.addresses["web"])
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    address = await running
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert refuses(address)
    await until(lambda: not threads())


@in_a_loop
async def test_a_drained_proxy_can_still_be_asked(echo):
    """`drain` returns at the end; the last numbers stay, and leaving the block afterwards is no trouble."""
    async with Penstock(listeners=[serving(echo)]) as proxy:
        await ask(proxy.addresses["web"])
        await proxy.drain()
        await proxy.wait()
        assert not proxy.ready
        assert proxy.metrics.totals.bytes_in == 5


@in_a_loop
async def test_a_port_in_use_is_told(echo):
    """A start that fails raises StartError and leaves nothing behind."""
    async with Penstock(listeners=[serving(echo)]) as proxy:
        host, port = proxy.addresses["web"]
        with pytest.raises(StartError, match="in use"):
            async with Penstock(listeners=[Listener(f"{host}:{port}", targets=[f"127.0.0.1:{echo}"])]):
                pass
        await until(lambda: len(threads()) == 1)


@in_a_loop
async def test_a_proxy_is_entered_once(echo):
    """A second time would find closed sockets: it is refused by name."""
    proxy = Penstock(listeners=[serving(echo)])
    async with proxy:
        pass
    with pytest.raises(RuntimeError, match="once"):
        await proxy.__aenter__()


@in_a_loop
async def test_workers_may_be_processes(echo):
    """With `workers`, the node has processes as `penstock run` has."""
    async with Penstock(listeners=[serving(echo)], workers=1, timeouts={"drain": "1s"}) as proxy:
        assert await ask(proxy.addresses["web"]) == b"hello"
        assert threads() == []


def test_mistakes_come_all_at_once():
    """A wrong configuration raises before anything runs."""
    with pytest.raises(ConfigurationError) as found:
        Penstock(listeners=[Listener(":0", "tpc"), Listener("nowhere", "tcp")], timeouts={"idle": "soon"})
    assert len(found.value.mistakes) >= 3


def test_the_package_is_light():
    """`import penstock` and a handler's imports load no part of a supervisor; every public name can be loaded."""
    program = (
        "import sys, penstock; from penstock import Facts, Forward, Block, Answer, Redirect\n"
        "heavy = {'asyncio', 'numpy', 'pydantic', 'structlog', 'uvicorn', 'penstock.node'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert all(getattr(penstock, name) is not None for name in penstock.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = penstock.no_such_name


@in_a_loop
async def test_a_proxy_that_was_not_entered_says_so(echo):
    """Before it is entered it is not ready, and whatever is asked of it says what to do; its repr says how it is."""
    proxy = Penstock(listeners=[serving(echo)], name="edge")
    assert not proxy.ready
    assert repr(proxy) == "<Penstock edge has not started>"
    asked = (
        lambda: proxy.metrics, lambda: proxy.addresses, lambda: proxy.admin, proxy.connections,
        lambda: proxy.history(60),
    )  # fmt: skip
    for ask_it in asked:
        with pytest.raises(RuntimeError, match="has not started: enter it"):
            ask_it()
    for told in (proxy.audit, proxy.drain, proxy.wait, lambda: proxy.close_connection(1)):
        with pytest.raises(RuntimeError, match="has not started: enter it"):
            await told()
    async with proxy:
        assert repr(proxy) == "<Penstock edge serves>"
    assert repr(proxy) == "<Penstock edge has ended>"
    assert proxy.metrics.connections.active == 0


def test_the_package_tells_what_it_has():
    """Names that are loaded when they are asked for can be found before."""
    assert set(penstock.__all__) <= set(dir(penstock))
