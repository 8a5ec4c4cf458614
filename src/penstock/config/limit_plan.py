"""What the plan says of limits: how much clients, listeners, routes and users may have."""

from msgspec import Struct


class RatePlan(Struct, frozen=True, kw_only=True):
    """
    How many may pass in which time.

    Without a burst `count` pass in any window from rest. With one it is a bucket of `burst` that `count` in each window
    fill, and each that passes takes one.

    Args:
        count: That pass; 1 or more.
        window: The time; unit ns.
        burst: That may pass at once after a pause; 0 for no bucket.
    """

    count: int
    window: int
    burst: int = 0

    @property
    def most(self) -> int:
        """Return how many may pass at once after a pause."""
        return self.burst or self.count

    @property
    def cost(self) -> int:
        """Return after which time one more is in the bucket; unit ns, rounded up."""
        return -(-self.window // self.count)

    @property
    def reach(self) -> int:
        """Return after which time an empty bucket is full; unit ns."""
        return self.burst * self.cost


class BandwidthPlan(Struct, frozen=True, kw_only=True):
    """
    How many bytes may pass, in each direction.

    Args:
        rate: Bytes a second.
        burst: Bytes at once after a pause.
    """

    rate: int
    burst: int


class QuotaPlan(Struct, frozen=True, kw_only=True):
    """
    How many bytes may pass in a month, both directions together.

    Args:
        size: Bytes.
        reset_day: Of the month, 1 to 28, on which the next one begins.
        throttle: What is left afterwards; None for nothing.
    """

    size: int
    reset_day: int = 1
    throttle: BandwidthPlan | None = None


class LimitPlan(Struct, frozen=True, kw_only=True):
    """
    What one listener, route or user may have.

    Args:
        connections: Open at once; 0 for no limit.
        rate: New connections, and of HTTP requests; None for no limit.
        bandwidth: Of all its connections together; None for no limit.
        bandwidth_per_connection: Of each; None for no limit.
        quota: Of a route or user; None for no limit.
    """

    connections: int = 0
    rate: RatePlan | None = None
    bandwidth: BandwidthPlan | None = None
    bandwidth_per_connection: BandwidthPlan | None = None
    quota: QuotaPlan | None = None


class LimitsPlan(Struct, frozen=True, kw_only=True):
    """
    How much one client may have of the node. The node's own connections stand in the WorkerPlan.

    Args:
        connections_per_ip: Open at once from one address; 0 for no limit.
        rate_per_ip: New connections from one address; None for no limit.
        bandwidth_per_ip: Of all connections from one address; None for no limit.
        bandwidth_per_connection: Of each connection of the node; None for no limit.
        exempt: Networks whose clients are not limited by address.
        per_user: What each user may have.
        users: What some may have instead, by name.
    """

    connections_per_ip: int = 0
    rate_per_ip: RatePlan | None = None
    bandwidth_per_ip: BandwidthPlan | None = None
    bandwidth_per_connection: BandwidthPlan | None = None
    exempt: tuple[str, ...] = ()
    per_user: LimitPlan = LimitPlan()
    users: dict[str, LimitPlan] = {}
