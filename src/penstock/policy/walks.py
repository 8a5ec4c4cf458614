"""Port walks: one client that comes to many listeners of this node and does nothing useful at any of them."""

from collections.abc import Iterable

from penstock.policy.detectors import CLIENTS, Rule


class Walks:
    """
    Counts listeners of clients, each once in a window that begins with the client's first.

    Args:
        rule: How many are too many, and in how long.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._seen: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, visits: Iterable[tuple[int, int]], now: int) -> list[tuple[int, int]]:
        """
        Count visits.

        Args:
            visits: Clients, as numbers, and ids of listeners.
            now: Unit ns.

        Returns:
            Clients that have walked too far, and how far; they begin anew.
        """
        found = []
        for client, listener in visits:
            begun, listeners = self._seen.get(client, (now, 0))
            if now - begun >= self.rule.window:
                begun, listeners = now, 0
            listeners |= 1 << listener
            if (count := listeners.bit_count()) >= self.rule.threshold:
                self._seen.pop(client, None)
                found.append((client, count))
            else:
                self._seen[client] = begun, listeners
        if len(self._seen) > CLIENTS:
            self._forget(now)
        return found

    def count(self, client: int, now: int) -> int:
        """Return how many listeners of a client are counted now."""
        begun, listeners = self._seen.get(client, (now, 0))
        return listeners.bit_count() if now - begun < self.rule.window else 0

    def drop(self, client: int) -> None:
        """Forget a client."""
        self._seen.pop(client, None)

    def _forget(self, now: int) -> None:
        """Keep those three quarters of the places whose clients walked furthest."""
        counts = {client: self.count(client, now) for client in self._seen}
        kept = sorted(counts, key=lambda client: counts[client], reverse=True)[: CLIENTS * 3 // 4]
        self._seen = {client: self._seen[client] for client in kept if counts[client]}
