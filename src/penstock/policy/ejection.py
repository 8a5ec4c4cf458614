"""For how long a target that fails is left out: twice as long each time, until it does well again."""

TIMES = 30
"""Longest ejection, in units of the first one: five minutes of ten seconds, as Envoy's max_ejection_time of 300 s."""


class Ejection:
    """
    The ejections of one target.

    Args:
        until, length: End and length of the last one, as another process knows it; unit ns, 0 for none.

    Attributes:
        until: End of the last one; unit ns, 0 for none.
        length: For how long it was meant; unit ns.
    """

    __slots__ = ("length", "until")

    def __init__(self, until: int = 0, length: int = 0) -> None:
        self.until, self.length = until, length

    def eject(self, now: int, first: int) -> int:
        """
        Begin one, and return its end; unit ns.

        Args:
            now: Monotonic time; unit ns.
            first: Length of the first one, which doubles up to `TIMES`. It is the first one again for a target that has
                been back for as long as it was out; unit ns.
        """
        forgotten = now >= self.until + self.length
        self.length = first if forgotten else min(2 * self.length, TIMES * first)
        self.until = now + self.length
        return self.until

    def lift(self, now: int) -> None:
        """End it before its time; the next one is longer all the same."""
        self.until = min(self.until, now)
