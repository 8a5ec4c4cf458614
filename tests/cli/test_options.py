"""Options that several commands share."""

import click
import pytest
from click.testing import CliRunner

from penstock.cli.options import ADMIN, LISTEN, TARGET, Workers, output_options, serving_options
from penstock.cli.serve import FLAGS


def _convert(kind, text):
    return kind.convert(text, None, None)


@pytest.mark.parametrize("text", [":8080", "8080", "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock", "localhost:1"])
def test_listen_forms(text):
    """Every form of a listen address is taken and handed on as it was written."""
    assert _convert(LISTEN, text) == text


def test_admin_may_be_off():
    """`off` is an admin address and no listen address."""
    assert _convert(ADMIN, "off") == "off"
    with pytest.raises(click.BadParameter):
        _convert(LISTEN, "off")


@pytest.mark.parametrize("text", ["", "example.com", "example.com:", ":80", "::1:80", "a b:80", "x:99999"])
def test_targets_are_host_and_port(text):
    """What is no host with a port is refused with a sentence that shows the form."""
    with pytest.raises(click.BadParameter) as caught:
        _convert(TARGET, text)
    assert len(str(caught.value)) > len(text)


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("0", 0), ("12", 12)])
def test_workers(text, value):
    """Workers are a number or auto."""
    assert _convert(Workers(), text) == value


@pytest.mark.parametrize("text", ["-1", "1.5", "AUTO ", "", "٣"])
def test_no_workers(text):
    """Anything else is refused."""
    with pytest.raises(click.BadParameter, match="neither a number nor auto"):
        _convert(Workers(), text)


def test_the_last_output_option_wins():
    """-o and --json fill one parameter; a table is the default."""

    @click.command()
    @output_options
    def show(form):
        click.echo(form)

    run = CliRunner().invoke
    assert run(show, []).output == "table\n"
    assert run(show, ["--json"]).output == "json\n"
    assert run(show, ["-o", "csv"]).output == "csv\n"
    assert run(show, ["-o", "xml"]).exit_code == 2


def test_serving_options_are_all_named():
    """Each option that `serving_options` adds is one of `serve.FLAGS`, under the same name, and none is missing."""

    @click.command()
    @serving_options
    def serve(**values):
        """Serve."""

    assert {parameter.name: parameter.opts[0] for parameter in serve.params} == FLAGS
