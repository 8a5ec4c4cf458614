"""Balancers by the words that operators write."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from penstock.policy.balance import Balancer, RoundRobin, Standing
from penstock.policy.least_connections import LeastConnections
from penstock.policy.random_two import Chance, RandomTwo
from penstock.policy.source_hash import SourceHash

BALANCERS: Mapping[str, Callable[[Sequence[Standing], Chance], Balancer]] = MappingProxyType(
    {
        "round_robin": lambda standings, _: RoundRobin(standings),
        "least_connections": lambda standings, _: LeastConnections(standings),
        "source_hash": lambda standings, _: SourceHash(standings),
        "random_two": RandomTwo,
    }
)
"""What makes each of them, of the targets and of chance."""
