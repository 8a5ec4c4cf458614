"""`penstock completion`."""

import shutil
import subprocess

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(penstock, shell):
    """The script names us and the variable that we answer to."""
    result = penstock("completion", shell)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "_PENSTOCK_COMPLETE" in result.stdout
    assert "penstock" in result.stdout


def test_bash_reads_it(penstock):
    """bash finds no fault in its script."""
    script = penstock("completion", "bash").stdout
    bash = shutil.which("bash")
    subprocess.run([bash, "-n"], input=script, text=True, check=True, timeout=30)


def test_commands_are_completed(penstock):
    """A shell that asks hears the commands that begin so."""
    asked = {"_PENSTOCK_COMPLETE": "bash_complete", "COMP_WORDS": "penstock con", "COMP_CWORD": "1"}
    assert penstock(env=asked).stdout.split() == ["plain,connections", "plain,confirm", "plain,config"]


def test_other_shells_are_wrong_usage(penstock):
    """A shell that is none is refused."""
    assert penstock("completion", "csh").exit_code == 2
