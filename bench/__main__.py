"""`python -m bench`: run the scenarios, keep the samples as JSON, write the page."""

import argparse
import json
import os
import shlex
import signal
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from bench import machine
from bench.figures import Sample
from bench.page import Results, from_json, render, verdicts
from bench.proxies import PROXIES
from bench.rounds import Run, run_scenario
from bench.scenarios import DIRECT, OFF, PENSTOCK, QUICK, SCENARIOS, Effort, Scenario
from bench.servers import ROOT, ServerError

PAGE = ROOT / "docs" / "benchmarks.md"
KEPT = ROOT / "bench" / "results"


def arguments(argv: list[str]) -> argparse.Namespace:
    """
    Read the command line.

    Args:
        argv: The arguments.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; for development")
    parser.add_argument(
        "--only", action="append", metavar="SCENARIO", choices=names, help=f"any of: {', '.join(names)}"
    )
    parser.add_argument("--rounds", type=positive, metavar="N", help="rounds of every scenario")
    parser.add_argument("--proxies", type=contestants, metavar="A,B", help=f"some of: {', '.join(PROXIES)}, {DIRECT}")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="where the page goes (a full run: docs/benchmarks.md)"
    )
    parser.add_argument("--render", type=Path, metavar="JSON", help="run nothing; write the page of these results")
    parser.add_argument("--check", action="store_true", help="exit 1 if a bound is not held")
    return parser.parse_args(argv)


def positive(text: str) -> int:
    """Read a number of rounds, at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def contestants(text: str) -> set[str]:
    """Read names of proxies with commas between."""
    names = set(text.split(","))
    if unknown := names - {*PROXIES, DIRECT}:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


def effort_of(options: argparse.Namespace) -> Effort:
    """Return how long and how much, from the options."""
    effort = QUICK if options.quick else Effort()
    return replace(effort, rounds=options.rounds, idle_rounds=options.rounds) if options.rounds else effort


def chosen(options: argparse.Namespace, skipped: list[str]) -> list[Scenario]:
    """
    Choose scenarios and who takes part.

    Args:
        options: The command line.
        skipped: Gets a line for each proxy that is not installed.

    Returns:
        Scenarios with the proxies that are to run.
    """
    wanted = options.proxies or {*PROXIES, DIRECT}
    absent = {name for name, proxy in PROXIES.items() if name in wanted and not machine.installed(proxy)}
    skipped += [f"{name}: not installed" for name in sorted(absent)]
    there = wanted - absent | ({OFF} if PENSTOCK in wanted else set())
    return [
        replace(scenario, proxies=tuple(name for name in scenario.proxies if name in there))
        for scenario in SCENARIOS
        if not options.only or scenario.name in options.only
    ]


def describe(sample: Sample, scenario: Scenario) -> str:
    """Write one sample as a line of progress."""
    numbers = [
        f"{sample.values[metric.key]:,.{metric.digits}f} {metric.heading}"
        for metric in scenario.metrics
        if metric.key in sample.values
    ]
    words = [f"errors: {sample.errors}"] if sample.errors else []
    return f"{sample.scenario:15} {sample.round:2}  {sample.proxy:11} " + "  ".join([*numbers, *words])


def measure(options: argparse.Namespace, argv: list[str]) -> Results:
    """
    Run what was asked for.

    Args:
        options: The command line.
        argv: The same as it was written, for the page.

    Returns:
        The results.

    Raises:
        ServerError: If an origin does not come up.
    """
    skipped: list[str] = []
    scenarios, cores, samples = chosen(options, skipped), machine.cores(), list[Sample]()
    begun = datetime.now(UTC)
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})
        pinning = f"Proxies are bound to core {cores.proxy}, load and origins to core {cores.load}"
    else:
        pinning = "There is one core for proxies, load and origins"
    names = [name for name in PROXIES if any(name in scenario.proxies for scenario in scenarios)]
    facts = machine.facts()
    with machine.widened() as kernel:
        for scenario in scenarios:
            tell = lambda sample, one=scenario: print(describe(sample, one), file=sys.stderr, flush=True)  # noqa: E731
            samples += run_scenario(scenario, Run(effort_of(options), cores, tell, skipped.append))
    date, command = begun.strftime("%Y-%m-%d %H:%M UTC"), shlex.join(["python", "-m", "bench", *argv])
    versions = machine.versions(names)
    return Results(date, command, facts, versions, pinning, kernel, effort_of(options), skipped, samples)


def deliver(results: Results, options: argparse.Namespace) -> int:
    """Write results and page where they belong; return the exit code."""
    if not options.render:
        KEPT.mkdir(exist_ok=True)
        name = "".join(letter for letter in results.date if letter.isdigit())
        (KEPT / f"{name}.json").write_text(json.dumps(asdict(results), indent=1))
    whole = not (options.quick or options.only or options.proxies or options.render)
    page = options.page or (PAGE if whole else None)
    if page:
        page.write_text(render(results))
        print(f"written: {page}", file=sys.stderr)
    else:
        print(render(results), end="")
    broken = [verdict for verdict in verdicts(results) if not verdict.held]
    for verdict in broken:
        print(f"not held: {verdict.scenario.name}: {verdict.measured} at most {verdict.most}", file=sys.stderr)
    return 1 if broken and options.check else 0


def interrupted(_signal: int, _frame: FrameType | None) -> None:
    """Take TERM like Ctrl-C, and only the first of them, so that every server is ended on the way out."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    options = arguments(argv)
    if options.render:
        return deliver(from_json(json.loads(options.render.read_text())), options)
    if absent := machine.missing():
        print(f"bench: not installed: {', '.join(absent)}; run bench/setup as root", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        return deliver(measure(options, argv), options)
    except ServerError as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; all servers ended, nothing written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
