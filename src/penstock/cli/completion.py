"""`penstock completion`: the script that teaches a shell our commands and flags."""

import rich_click as click
from click.shell_completion import get_completion_class

INSTALL = {
    "bash": "penstock completion bash > ~/.local/share/bash-completion/completions/penstock",
    "zsh": "penstock completion zsh > ~/.zfunc/_penstock   (a directory of $fpath)",
    "fish": "penstock completion fish > ~/.config/fish/completions/penstock.fish",
}


@click.command(epilog="\n\n".join(INSTALL.values()))
@click.argument("shell", type=click.Choice(list(INSTALL)))
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    from penstock.cli.main import app  # noqa: PLC0415 - the group imports us

    cls = get_completion_class(shell)
    assert cls is not None  # noqa: S101 - the choice allows no other
    click.echo(cls(app, {}, "penstock", "_PENSTOCK_COMPLETE").source())
