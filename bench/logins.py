"""What the time of an answer says of who exists: logins of users with a wrong password, and of nobody, in turn."""

import argparse
import json
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import argon2

from penstock.testing.nodes import running, table

USERS = 20
"""Users of the file, each with a salt of its own."""

HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""What `penstock user add` makes hashes with."""

SECONDS = 60.0

NOTCH = 1.58
"""Half of the 95 % interval of a median: so many quartile distances over the root of their number (McGill, 1978)."""


def answer_ms(address: tuple[str, int], user: str, source: str) -> float:
    """Return the time from a login with a wrong password to the answer that refuses it; unit ms."""
    with socket.create_connection(address, SECONDS, (source, 0)) as sock:
        sock.sendall(b"\x05\x01\x02")
        if sock.recv(2) != b"\x05\x02":
            raise RuntimeError("no login is asked for")
        name, word = user.encode(), b"not-the-password"
        began = time.perf_counter()
        sock.sendall(bytes((1, len(name))) + name + bytes((len(word),)) + word)
        answer = sock.recv(2)
        took = time.perf_counter() - began
    if answer in (b"", b"\x01\x00"):
        raise RuntimeError(f"{user}: answered {answer!r}")
    return took * 1e3


def pairs(pairs_wanted: int, chance: random.Random) -> list[tuple[float, float]]:
    """Return the times of a known and of an unknown user, so many of each, in any order; each from another address."""
    found = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        path = Path(folder, "users")
        path.write_text("".join(f"user{number}:{HASHER.hash(f'pw-{number}')}\n" for number in range(USERS)))
        door = table("main", "socks5", users_file=str(path))
        with running('[limits]\nexempt = ["127.0.0.0/8"]\n', door, folder=Path(folder)) as node:
            address = node.address("main")
            for number in range(pairs_wanted):
                asked = [f"user{chance.randrange(USERS)}", f"user{USERS + chance.randrange(10**6)}"]
                times = {}
                for place in chance.sample((0, 1), 2):
                    times[place] = answer_ms(
                        address, asked[place], f"127.{1 + place}.{number // 250}.{1 + number % 250}"
                    )
                found.append((times[0], times[1]))
    return found


def summary(found: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the medians, that of the differences, their spread, and how far it is from none, in its error."""
    known, unknown = zip(*found, strict=True)
    differences = [there - here for here, there in found]
    low, middle, high = statistics.quantiles(differences, n=4)
    error = NOTCH * (high - low) / sqrt(len(differences))
    return {
        "known": statistics.median(known),
        "unknown": statistics.median(unknown),
        "difference": middle,
        "spread": high - low,
        "apart": abs(middle) / error if error else 0.0,
    }


def main(argv: list[str]) -> None:
    """Measure, and print `{"known", "unknown", "difference", "spread", "apart"}`."""
    parser = argparse.ArgumentParser(prog="bench.logins", description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    print(json.dumps(summary(pairs(parser.parse_args(argv).rows, random.Random(7)))))


if __name__ == "__main__":
    main(sys.argv[1:])
