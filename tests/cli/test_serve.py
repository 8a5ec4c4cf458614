"""`penstock run`, and the flags that all serving commands share."""

import pytest

from penstock.cli.main import app
from penstock.cli.serve import FLAGS, given
from penstock.config import layers
from penstock.node import run as node_run


@pytest.fixture
def served(monkeypatch):
    """The plans that would have been served."""
    plans = []
    monkeypatch.setattr(node_run, "run", lambda plan, source, base: plans.append(plan) or 0)
    return plans


def test_run_serves_the_file(penstock, served, tmp_path):
    """The file's listeners are served; flags win over the file."""
    (tmp_path / "p.toml").write_text('[node]\nworkers = 3\n[[listener]]\nlisten = ":8001"\nprotocol = "socks5"\n')
    result = penstock("run", "-c", "p.toml", "--workers", "2", "--admin", "off", "--name", "n1", "--log-level", "error")
    assert (result.exit_code, result.output) == (0, "")
    (plan,) = served
    assert (plan.name, plan.workers, plan.admin, plan.log_level) == ("n1", 2, None, "error")
    assert [str(each) for each in plan.worker.listeners] == ["[::]:8001"]


def test_run_finds_the_file_by_itself(penstock, served, tmp_path):
    """Without -c the file of the working directory is served, its admin door on 9190."""
    (tmp_path / "penstock.toml").write_text('[[listener]]\nlisten = ":8001"\nprotocol = "http"\n')
    assert penstock("run").exit_code == 0
    assert served[0].admin == ("127.0.0.1", 9190)


def test_run_passes_the_code_on(penstock, monkeypatch, tmp_path):
    """What the node ends with is what the shell is told."""
    monkeypatch.setattr(node_run, "run", lambda plan, source, base: 130)
    (tmp_path / "penstock.toml").write_text('[[listener]]\nlisten = ":8001"\nprotocol = "http"\n')
    assert penstock("run").exit_code == 130


def test_every_mistake_is_told(penstock, served, tmp_path):
    """All mistakes of a file are told at once, with file and line; the code is 78 and nothing is served."""
    (tmp_path / "p.toml").write_text('[node]\nworkres = 3\n[[listener]]\nlisten = "nowhere"\nprotocol = "htpp"\n')
    result = penstock("run", "-c", "p.toml")
    assert (result.exit_code, result.stdout, served) == (78, "", [])
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("p.toml:") for line in lines)


@pytest.mark.parametrize(
    "words",
    [
        ["--workers", "many"],
        ["--workers", "-1"],
        ["--admin", "nowhere"],
        ["--log-level", "loud"],
        ["--connections", "0"],
    ],
)
def test_wrong_flags_are_wrong_usage(penstock, served, words):
    """A flag whose value cannot be read is wrong usage: 2, one line."""
    result = penstock("run", *words)
    assert (result.exit_code, served, result.stderr.count("\n")) == (2, [], 1)
    assert words[0] in result.stderr


def test_flags_are_known_to_both_sides():
    """Each serving option is a flag that the configuration takes, and each serving command has them all."""
    assert set(FLAGS.values()) <= set(layers.FLAGS)
    assert given({"name": "x", "idle": None}) == {"--name": "x", "--idle": None}
    for name in ("run", "tcp", "http", "socks5"):
        flags = {flag for parameter in app.get_command(None, name).params for flag in parameter.opts}
        assert set(FLAGS.values()) <= flags
