"""The page: from the results of a run to Markdown. Pure."""

from dataclasses import dataclass
from typing import Any

from bench.figures import Figure, Sample, by_round, difference, figure, ratio
from bench.proxies import PROXIES
from bench.scenarios import DIRECT, PENSTOCK, RATE, SCENARIOS, Effort, Metric, Scenario

INTRODUCTION = """\
Penstock and its neighbours under the same loads, on one machine, in one run.
This page is written by `make bench`; it holds for the machine below, and the same command makes it hold for yours."""


@dataclass(frozen=True)
class Results:
    """
    One run, as it is kept in JSON.

    Args:
        date: When it began, UTC.
        command: What made it.
        machine: What the machine is, by name.
        versions: Version of each program, by name.
        pinning: Which core did what, in words.
        kernel: Which kernel settings were changed, in words.
        effort: How long and how much.
        skipped: Who was left out, and why.
        samples: All samples.
    """

    date: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    pinning: str
    kernel: str
    effort: Effort
    skipped: list[str]
    samples: list[Sample]


def from_json(data: dict[str, Any]) -> Results:
    """
    Take results out of their JSON.

    Args:
        data: What `dataclasses.asdict` made of them.

    Returns:
        The results.

    Raises:
        TypeError: If a field is missing or unknown.
    """
    samples = [Sample(**sample) for sample in data["samples"]]
    return Results(**{**data, "effort": Effort(**data["effort"]), "samples": samples})


@dataclass(frozen=True)
class Verdict:
    """
    One bound and what was measured.

    Args:
        scenario: The scenario.
        measured: What was bounded, in words.
        figure: The figure; None if it could not be measured.
        most: The bound.
    """

    scenario: Scenario
    measured: str
    figure: Figure | None
    most: float

    @property
    def held(self) -> bool:
        """Whether the median stays within the bound."""
        return self.figure is not None and self.figure.median <= self.most


def verdicts(results: Results) -> list[Verdict]:
    """Judge every bound of the scenarios that Penstock ran in, in their order."""
    found = []
    for scenario, samples in _run(results):
        if all(sample.proxy != PENSTOCK for sample in samples):
            continue
        for bound in scenario.bounds:
            metric = next((each for each in scenario.metrics if each.key == bound.key), scenario.metrics[0])
            if bound.added and bound.reference:
                value = difference(samples, PENSTOCK, bound.reference, metric.key)
                words = f"{metric.heading}, beyond {bound.reference}"
            elif bound.reference is None:
                value, words = figure(by_round(samples, PENSTOCK, metric.key).values()), metric.heading
            else:
                value = ratio(samples, PENSTOCK, bound.reference, metric.key)
                words = f"{metric.heading}, ratio to {bound.reference}"
            found.append(Verdict(scenario, words, value, bound.most))
    return found


def render(results: Results) -> str:
    """
    Write the page.

    Args:
        results: One run.

    Returns:
        Markdown, with an empty line between blocks and one newline at the end.
    """
    blocks = [*_head(results), *_bounds(results)]
    for scenario, samples in _run(results):
        blocks += _scenario(scenario, samples)
    return "\n\n".join(blocks) + "\n"


def spread(value: Figure | None, digits: int) -> str:
    """Write a figure as `median (low-high)`; a dash for none."""
    if value is None:
        return "-"
    middle, low, high = (f"{number:,.{digits}f}" for number in (value.median, value.low, value.high))
    return f"{middle} ({low}-{high})"


def _head(results: Results) -> list[str]:
    machine = results.machine
    facts = [
        f"- **Machine**: {machine['processor']}, {machine['cores']} cores, {machine['memory']} memory",
        f"- **System**: {machine['system']}, {machine['kernel']}, {machine['python']}",
        "- **Versions**: " + ", ".join(f"{name} {version}" for name, version in results.versions.items()),
        f"- **Date**: {results.date}",
        f"- **Command**: `{results.command}`",
    ]
    left_out = ["\n".join(f"- Left out: {line}." for line in results.skipped)] if results.skipped else []
    return ["# Benchmarks", INTRODUCTION, "\n".join(facts), "## Method", "\n".join(_method(results)), *left_out]


def _method(results: Results) -> list[str]:
    effort = results.effort
    counted = f"{effort.handshakes:,} connections of `bench/handshake.py`"
    setups = [f"  - {name}: {PROXIES[name].note}." for name in results.versions if name in PROXIES]
    return [
        "- **Rounds**: all proxies of a table stand side by side, are warmed up, and are loaded in turn, "
        f"{effort.rounds} times over. Memory is measured {effort.idle_rounds} times, each proxy started afresh.",
        f"- **A round**: {effort.seconds:g} s of wrk; {effort.gigabytes} GB of iperf3; {effort.seconds:g} s or "
        f"{counted}, whichever is first. A closed loop: the next request waits for the last answer. "
        "A round in which the client saw an error is listed and not used.",
        "- **Figures**: the median, with least and most in parentheses. A ratio is taken round by round and its median "
        "shown: what disturbs a whole round disturbs both sides of it.",
        "- **CPU time**: user and system time of all processes of a proxy, ended threads and children included, read "
        "from the kernel before and after a load and divided by the work that the client saw done.",
        f"- **Where**: loopback only. {results.pinning}. Kernel: {results.kernel}. "
        "The origin is one nginx worker with a 16-byte answer, `iperf3 -s`, or an echo.",
        "- **Proxies**:",
        *setups,
    ]


def _bounds(results: Results) -> list[str]:
    judged = verdicts(results)
    if not judged:
        return []
    rows = ["| scenario | measured | Penstock | bound | |", "|---|---|---|---|---|"]
    for verdict in judged:
        digits = 2 if verdict.most < 100 else 0
        value, word = spread(verdict.figure, digits), "held" if verdict.held else "**not held**"
        rows.append(
            f"| {verdict.scenario.title} | {verdict.measured} | {value} | {verdict.most:,.{digits}f} | {word} |"
        )
    return ["## Bounds", "What Penstock sets itself; lower is better.", "\n".join(rows)]


def _run(results: Results) -> list[tuple[Scenario, list[Sample]]]:
    paired = [(one, [sample for sample in results.samples if sample.scenario == one.name]) for one in SCENARIOS]
    return [(scenario, samples) for scenario, samples in paired if samples]


def _scenario(scenario: Scenario, samples: list[Sample]) -> list[str]:
    present = [name for name in scenario.proxies if any(sample.proxy == name for sample in samples)]
    references = [name for name in scenario.references if name in present]
    first = scenario.metrics[0]
    heads = ["proxy", *(metric.heading for metric in scenario.metrics), *(f"ratio to {name}" for name in references)]
    rows = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in present:
        cells = [spread(_over(samples, name, metric), metric.digits) for metric in scenario.metrics]
        cells += [_against(samples, name, reference, first) for reference in references]
        rows.append("| " + " | ".join([name, *cells]) + " |")
    if DIRECT in present:
        rows += ["", _added(samples, present, first)]
    if pairs := [pair for pair in scenario.pairs if {*pair} <= {*present}]:
        rows += ["", *(_apart(scenario, samples, *pair) for pair in pairs)]
    return [f"## {scenario.title}", scenario.about, "\n".join(rows), *_remarks(samples)]


def _over(samples: list[Sample], proxy: str, metric: Metric) -> Figure | None:
    return figure(by_round(samples, proxy, metric.key).values())


def _against(samples: list[Sample], proxy: str, reference: str, metric: Metric) -> str:
    return "1" if proxy == reference else spread(ratio(samples, proxy, reference, metric.key), 2)


def _added(samples: list[Sample], present: list[str], metric: Metric) -> str:
    """Say what each proxy adds to the direct latency, round by round."""
    direct = by_round(samples, DIRECT, metric.key)
    added = []
    for name in present:
        ours = by_round(samples, name, metric.key)
        if name != DIRECT and (value := figure(ours[one] - direct[one] for one in ours if one in direct)):
            added.append(f"{name} {spread(value, 0)}")
    return f"Added to the direct {metric.heading}: " + ", ".join(added) + "." if added else "No direct figure."


def _apart(scenario: Scenario, samples: list[Sample], name: str, other: str) -> str:
    """Say how far one proxy is from another, round by round."""
    found = ((metric, difference(samples, name, other, metric.key)) for metric in scenario.metrics if metric != RATE)
    words = [f"{metric.heading} {spread(value, metric.digits)}" for metric, value in found]
    return f"- {name} beyond {other}: {', '.join(words)}."


def _remarks(samples: list[Sample]) -> list[str]:
    lines = [f"- Not used: {one.proxy}, round {one.round}: {one.errors}." for one in samples if one.errors]
    noise = figure(sample.others for sample in samples if not sample.errors)
    if noise and noise.high > 0:
        lines.append(
            f"- Other work on the proxy's core: {noise.median:.0%} in the median round, {noise.high:.0%} in the worst."
        )
    return ["\n".join(lines)] if lines else []
