"""What all rounds share: what holds for a run, who is up in it, and what makes a load's figures unusable."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.figures import Sample
from bench.loads import Done
from bench.machine import Cores
from bench.origins import origin_for
from bench.proxies import PROXIES, Place
from bench.scenarios import Effort, Scenario
from bench.servers import living, new_place, serving
from bench.urgency import at_once

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


@contextmanager
def an_origin(scenario: Scenario, run: Run, connections: int = CONNECTIONS, *, ready: bool = False) -> Iterator[int]:
    """
    Run the origin of a scenario.

    Args:
        scenario: Whose.
        run: How.
        connections: The most that it has to hold.
        ready: Whether it answers at once, whatever its core does.

    Yields:
        Its port.

    Raises:
        ServerError: If it does not come up.
    """
    with (
        new_place(0, scenario.kind, connections) as place,
        serving(origin_for(scenario.load, place), place, run.cores.load) as pid,
    ):
        for each in living(pid) if ready else ():
            at_once(each)
        yield place.port


@contextmanager
def a_proxy(
    name: str, scenario: Scenario, run: Run, origin: int, connections: int = CONNECTIONS
) -> Iterator[tuple[Place, int]]:
    """
    Run a proxy in front of an origin.

    Args:
        name: Which.
        scenario: That it takes part in.
        run: How.
        origin: The origin's port.
        connections: The most client connections that it has to hold.

    Yields:
        Where it is, and its first process.

    Raises:
        ServerError: If it does not come up.
    """
    with (
        new_place(origin, scenario.kind, connections) as place,
        serving(PROXIES[name].launch(place), place, run.cores.proxy) as pid,
    ):
        yield place, pid


def complaints(done: Done, name: str) -> str:
    """Say what makes a load's figures unusable: errors, and cuts by a proxy that is not known for them."""
    known = name in PROXIES and PROXIES[name].cuts and done.cuts <= done.units
    cuts = [f"{done.cuts} connections cut"] if done.cuts and not known else []
    return ", ".join([*filter(None, [done.errors]), *cuts])
