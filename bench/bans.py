"""What bans cost, in CPU time of one process: reading a list, a look-up, a worker's pause at the swap, a restore."""

import argparse
import io
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from bench import blocklist
from bench.blocklist import ipv6_of, list_of
from penstock.base.addresses import pack_ip
from penstock.base.clock import SystemClock
from penstock.config.ban_plan import BanPlan
from penstock.dataplane.bans import LISTED, Bans
from penstock.node.bans.desk import Desk
from penstock.node.bans.drawer import BAN
from penstock.node.bans.ranges import IPV4
from penstock.node.log import make_log
from penstock.policy.ban import Ban, parse_network
from penstock.store.tables import Entry
from penstock.testing.standin import PLAN

CLIENTS = 20_000
"""Clients that are banned beside the networks."""

LOOKUPS = 20_000

ROUNDS = 7
"""Of which the best is told: others use the machine, too."""


def desk_of(plan: BanPlan) -> Desk:
    """Return a desk without a node."""
    return Desk(replace(PLAN, bans=plan), SystemClock(), make_log("error", "json", io.StringIO()), look=list)


def read(text: str) -> tuple[Desk, float]:
    """Return a desk that has read and laid out a block list, and the CPU time that it took; unit s."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        path = Path(folder, "list.txt")
        path.write_text(text)
        plan = BanPlan(lists=((str(path), "x"),))
        desk = desk_of(plan)
        began = time.process_time()
        desk.read_lists(replace(PLAN, bans=plan))
        desk.take_lists(desk.write_lists())
        took = time.process_time() - began
    return desk, took


class Listed(NamedTuple):
    """
    What a list of networks costs.

    Args:
        load: Until it was read and laid out; unit s.
        lookup: Beside clients that are banned, every other one of an address within; unit us.
        bytes: Of the table, for each network of the list.
    """

    load: float
    lookup: float
    bytes: float


Network = tuple[int, int]
"""Its first address as a number of 128 bits, and its length within its family."""


def ipv4_of(chance: random.Random) -> Network:
    """Return a network of IPv4."""
    number, bits = blocklist.ipv4_of(chance)
    return IPV4 + number, bits


def line_of(network: Network) -> str:
    """Return a network as a list writes it."""
    number, bits = network
    packed = number.to_bytes(16)
    return f"{inet_ntop(AF_INET, packed[12:]) if number >> 32 == 0xFFFF else inet_ntop(AF_INET6, packed)}/{bits}"


def listed(some: list[Network], others: list[Network], *, comments: bool, chance: random.Random) -> Listed:
    """Measure a list of networks, every fourth line with a comment if asked for; others lend their addresses."""
    lines = [
        f"{line_of(each)} ; {place}" if comments and not place % 4 else line_of(each) for place, each in enumerate(some)
    ]
    desk, load = read("\n".join(lines))
    desk.drawer.restore({BAN: banned(desk)})
    addresses = [number.to_bytes(16) for number, _ in chance.choices(some, k=len(others)) + others]
    chance.shuffle(addresses)
    took = lookup_us(Bans(desk.fds), addresses)
    size = os.fstat(desk.fds[1 + LISTED]).st_size
    desk.close()
    return Listed(load, took, size / len(some))


def lists(networks: int, chance: random.Random) -> dict[str, float]:
    """Measure a list of IPv4 networks that stay apart, one of IPv6, and one of both in turn, with comments."""
    found: dict[str, float] = {}
    for name, kinds in (("apart", (ipv4_of,)), ("6", (ipv6_of,)), ("both", (ipv4_of, ipv6_of))):
        some, others = (
            [kinds[place % len(kinds)](chance) for place in range(count)] for count in (networks, LOOKUPS // 2)
        )
        costs = listed(some, others, comments=name == "both", chance=chance)
        found |= {f"load{name}": costs.load, f"lookup{name}": costs.lookup, f"bytes{name}": costs.bytes}
    return found


def best(work: Callable[[], object]) -> float:
    """Return the CPU time that a piece of work takes at its best; unit s."""
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def lookup_us(bans: Bans, addresses: list[bytes]) -> float:
    """Return what a look-up takes; unit us."""

    def look() -> None:
        holds = bans.holds
        for address in addresses:
            holds(address)

    return best(look) / len(addresses) * 1e6


def pause_ms(bans: Bans, fd: int, addresses: list[bytes]) -> float:
    """Return the CPU time of the median of some swaps, each after the table before was in use; unit ms."""
    took = []
    for _ in range(ROUNDS):
        for address in addresses:
            bans.holds(address)
        began = time.process_time()
        bans.take(LISTED, fd)
        took.append((time.process_time() - began) * 1e3)
    return sorted(took)[len(took) // 2]


def banned(desk: Desk) -> list[Entry]:
    """Return the entries of so many bans, as the store gives them."""
    now, entries = desk.now, []
    for number in range(CLIENTS):
        network = parse_network(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        ban = Ban(network=network.text, origin="manual", reason="x", since=now, until=now + 3_600 * 10**9)
        entries.append(Entry(network.text, msgspec.json.encode(ban).decode(), 0))
    return entries


def main(argv: list[str]) -> None:
    """Measure, and print `{"load", "networks", "lookup", "pause", "restore"}` and what `lists` finds."""
    parser = argparse.ArgumentParser(prog="bench.bans", description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    asked = parser.parse_args(argv)
    chance = random.Random(7)
    text = list_of(asked.rows, chance)
    desk, load = read(text)
    addresses = [pack_ip(".".join(str(chance.randrange(256)) for _ in range(4))) for _ in range(LOOKUPS)]
    networks = lookup_us(Bans(desk.fds), addresses)
    entries = banned(desk)
    began = time.process_time()
    desk.drawer.restore({BAN: entries})
    restore = time.process_time() - began
    bans = Bans(desk.fds)
    lookup = lookup_us(bans, addresses)
    pause = pause_ms(bans, desk.fds[1 + LISTED], addresses)
    found = {"load": load, "networks": networks, "lookup": lookup, "pause": pause, "restore": restore}
    print(json.dumps(found | lists(asked.rows, chance)))


if __name__ == "__main__":
    main(sys.argv[1:])
