"""Block lists of any size, as those that the world has: networks of many lengths. Pure."""

import random


def list_of(networks: int, chance: random.Random) -> str:
    """Return the text of a block list: as many networks, of IPv4 and of lengths from 16 to 32."""
    lines = []
    for _ in range(networks):
        bits = chance.choice((16, 20, 24, 24, 24, 28, 32, 32))
        number = chance.randrange(1 << 24, 223 << 24) >> 32 - bits << 32 - bits
        lines.append(f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/{bits}\n")
    return "".join(lines)


def ipv4_of(chance: random.Random) -> tuple[int, int]:
    """Return a network of IPv4: its number and its length, from 24 to 32, so that most of a million stay apart."""
    bits = chance.choice((24, 28, 30, 32, 32, 32))
    return chance.randrange(1 << 24, 223 << 24) >> 32 - bits << 32 - bits, bits


TOPS = (0x2001, *range(0x2400, 0x2410), *range(0x2600, 0x2620), *range(0x2A00, 0x2A10), 0x2C0F)
"""First 16 bits of IPv6 addresses that registries give to networks."""


def ipv6_of(chance: random.Random) -> tuple[int, int]:
    """Return a network of IPv6: its number and its length, from 32 to 128."""
    bits = chance.choice((32, 40, 48, 48, 48, 56, 64, 64, 128))
    return (chance.choice(TOPS) << 112 | chance.getrandbits(112)) >> 128 - bits << 128 - bits, bits
