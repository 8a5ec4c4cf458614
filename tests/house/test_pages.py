"""What the pages say is what the code does."""

import re

import pytest

from penstock.base.outcomes import Reason
from penstock.cli.main import COMMANDS
from penstock.config.load import load
from penstock.metrics.catalog import FAMILIES, LABELLED
from penstock.metrics.endings import PercentilesView
from penstock.metrics.exporters.compat import COMPAT
from penstock.metrics.exporters.otlp import exact_name
from penstock.policy.unreachable import unreachable
from penstock.testing.certificates import Authority


@pytest.fixture(scope="session")
def words(root):
    """The page of words."""
    return (root / "docs/words.md").read_text()


def test_every_metric_is_on_the_page(words):
    """docs/words.md lists exactly the metric families that a node serves, older ones too, with types and labels."""
    listed = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([\w, ]*?) ?\| .+ \|$", words, re.M)
    served = [*FAMILIES, *COMPAT, *(family for families in LABELLED.values() for family in families)]
    assert sorted(listed) == sorted((each.name, each.kind, ", ".join(each.labels)) for each in served)


def test_every_exponential_histogram_is_on_the_page(words):
    """docs/words.md names what OTLP is told besides the families."""
    names = {exact_name(measured)[0] for measured in PercentilesView.__struct_fields__}
    assert {name for name in names if f"`{name}`" not in words} == set()


def test_every_reason_is_on_the_page(words):
    """docs/words.md gives the closed list of reasons, in its order."""
    assert f"`{', '.join(Reason)}`" in words


def test_every_command_is_in_the_readme(root):
    """README.md shows every command of the command line."""
    readme = (root / "README.md").read_text()
    assert [name for name in COMMANDS if not re.search(rf"\bpenstock {name}\b", readme)] == []


SAMPLES = ("deploy", "docs/examples")
"""Folders of sample configurations."""


@pytest.fixture
def authority(tmp_path):
    """Who issues what the samples name."""
    return Authority(tmp_path)


def test_sample_configurations_are_sound(texts, authority):
    """Every sample configuration, in a file or on a page, passes the operator's check without a warning."""
    pages = {path: text for path, text in texts.items() if path.suffix == ".md"}
    samples = [block for text in pages.values() for block in re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)]
    samples += [text for path, text in texts.items() if path.suffix == ".toml" and str(path.parent) in SAMPLES]
    assert len(samples) >= 6
    file = authority.folder / "penstock.toml"
    for sample in samples:
        for name in set(re.findall(r'"([\w.-]+)\.(?:pem|key)"', sample)):
            authority.issue(name)
        (authority.folder / "users").touch()
        file.write_text(sample)
        plan = load(str(file), environ={})
        assert plan.worker.listeners
        assert plan.notices == ()
        assert unreachable(plan.worker.routes) == []
