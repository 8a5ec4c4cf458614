"""A node hands over to a new process, or serves on."""

import asyncio
import sys

import pytest

from penstock.node import upgrade as room
from penstock.node.handover import Counted, SavedNumbers, Taken, Will
from penstock.node.upgrade import Estate, UpgradeError, Upgrades
from penstock.testing.standin import PLAN

from .conftest import KeptLog

NEW = """
import asyncio, os, socket, sys
from penstock.node.elder import from_environment
async def go(how):
    elder = from_environment()
    if how == "exit":
        sys.exit(3)
    if how == "hang":
        await asyncio.sleep(600)
    await elder.greet()
    if how == "refuse":
        return await elder.refuse("a port is in use")
    await elder.succeed()
    if how == "late":
        return await elder.refuse("the store is gone")
    await elder.taken(["/s"])
asyncio.run(go(sys.argv[1]))
"""


class Node:
    """Stands in for a node: keeps what it was asked, in its order."""

    def __init__(self):
        self.calls, self.turn, self.why = [], asyncio.Lock(), ""

    def refuses_reload(self):
        """Return why not."""
        return self.why

    def still(self):
        """Return a lock."""
        return self.turn

    def will(self):
        """Return a plan and no sockets."""
        self.calls.append("will")
        return Will(PLAN, SavedNumbers({}, {}, ()), 1), [], 0

    async def lay_down(self):
        """Return nothing that was counted."""
        self.calls.append("lay down")
        return Estate(Counted({}, (), ()), [], [])

    async def take_up(self):
        """Note it."""
        self.calls.append("take up")

    def retire(self, channel, taken):
        """Note it."""
        self.calls.append(taken)
        channel.close()


async def upgraded(how, node=None, program=None):
    """Return the node after an upgrade to such a process, and what came of it."""
    node, kept = node or Node(), KeptLog()
    words = (sys.executable, "-c", NEW, how) if program is None else program
    try:
        found = await Upgrades(node, words, kept.log).upgrade()
    except UpgradeError as error:
        found = str(error)
    return node, found, kept


def test_a_new_process_takes_over():
    """Plan, then counts, and only then this node retires."""
    node, found, kept = asyncio.run(upgraded("well"))
    assert node.calls == ["will", "lay down", Taken(("/s",))]
    assert found.pid == kept.events("upgrade begins")[0]["new_pid"]


@pytest.mark.parametrize(
    ("how", "why", "calls"),
    [
        ("exit", "the new process ended: exit 3", ["will"]),
        ("refuse", "a port is in use", ["will"]),
        ("late", "the store is gone", ["will", "lay down", "take up"]),
    ],
)
def test_one_that_fails_leaves_the_node_as_it_is(how, why, calls):
    """Before it was ready nothing was laid down; after that it is taken up again. The reason is told."""
    node, found, kept = asyncio.run(upgraded(how))
    assert (found, node.calls) == (why, calls)
    assert kept.events("not upgraded, all goes on as before")[0]["why"] == why


def test_one_that_hangs_is_killed(monkeypatch):
    """After its time."""
    monkeypatch.setattr(room, "READY_SECONDS", 0.2)
    monkeypatch.setattr(room, "END_SECONDS", 0.0)
    node, found, _ = asyncio.run(upgraded("hang"))
    assert ("not ready within" in found, node.calls) == (True, ["will"])


def test_what_cannot_be_upgraded_says_so():
    """A node within another program, one that drains, and a program that is not there."""
    draining = Node()
    draining.why = "the node is draining: it cannot be reloaded"
    assert "part of another program" in asyncio.run(upgraded("well", program=()))[1]
    assert "it cannot be upgraded" in asyncio.run(upgraded("well", draining))[1]
    assert "No such file" in asyncio.run(upgraded("well", program=("/none/penstock",)))[1]
