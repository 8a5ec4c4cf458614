"""What all rounds share: what holds for a run, and what makes a load's figures unusable."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import Sample
from bench.loads import Done
from bench.machine import Cores
from bench.proxies import PROXIES
from bench.scenarios import Effort

SETTLE_S = 0.05
"""After a load, until the last connections have been closed by the proxy too."""

CONNECTIONS = 1_024
"""Client connections that a proxy is set up for where a load opens a few dozen."""

Tell = Callable[[Sample], None]


@dataclass(frozen=True)
class Run:
    """
    What holds for all scenarios of a run.

    Args:
        effort: How long and how much.
        cores: Which core does what.
        tell: Called with each sample as it comes.
        skipped: Called with who is left out of what, and why.
    """

    effort: Effort
    cores: Cores
    tell: Tell
    skipped: Callable[[str], None]


def complaints(done: Done, name: str) -> str:
    """Say what makes a load's figures unusable: errors, and cuts by a proxy that is not known for them."""
    known = name in PROXIES and PROXIES[name].cuts and done.cuts <= done.units
    cuts = [f"{done.cuts} connections cut"] if done.cuts and not known else []
    return ", ".join([*filter(None, [done.errors]), *cuts])
