"""How late addresses are heard whose logins failed: later with each failure, until they have been quiet for a while."""

from penstock.base.addresses import pack_ip
from penstock.base.clock import NS

FIRST_NS = NS // 4
"""After the first failure: nobody notices who mistyped."""

LONGEST_NS = 8 * NS
"""After the sixth: ten thousand guesses a day. Within a handshake's ten seconds an answer still comes."""

FORGOTTEN_NS = 300 * NS
"""Without another failure; fail2ban looks at ten minutes."""

ADDRESSES = 16_384
"""That are known at once; the one that failed longest ago makes room. 3 MB."""

_IPV4_MAPPED = b"\0" * 10 + b"\xff\xff"


def key_of(client: str) -> bytes:
    """Return what stands for a client: its address, of IPv6 the network of 64 bits, which one subscriber has whole."""
    packed = pack_ip(client)
    return packed if packed.startswith(_IPV4_MAPPED) else packed[:8]


class Slowdown:
    """What is known of addresses that failed."""

    def __init__(self) -> None:
        self._failures: dict[bytes, tuple[int, int]] = {}

    def failed(self, key: bytes, now: int) -> None:
        """
        A login was wrong.

        Args:
            key: Whose; see `key_of`.
            now: Monotonic time; unit ns.
        """
        count = self._count(key, now) + 1
        self._failures.pop(key, None)
        if len(self._failures) >= ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = count, now

    def delay(self, key: bytes, now: int) -> int:
        """Return how much later it is heard; unit ns, 0 for who did not fail."""
        count = self._count(key, now)
        return min(FIRST_NS << min(count - 1, 16), LONGEST_NS) if count else 0

    def _count(self, key: bytes, now: int) -> int:
        count, last = self._failures.get(key, (0, now))
        return count if now - last < FORGOTTEN_NS else 0
