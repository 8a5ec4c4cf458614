"""`penstock user`: who may log in, in a file of hashes that running nodes read again by themselves."""

import os
import sys
from pathlib import Path

import rich_click as click

from penstock.base.bounds import LOGIN_BYTES
from penstock.cli.exits import CommandError, Exit
from penstock.cli.options import Command, config_option
from penstock.cli.output import add_row, console, emit, table

HASH_BYTES, SALT_BYTES = 32, 16
"""RFC 9106 section 3.1 recommends a tag of 256 bits and a salt of 128."""

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""What a login costs, as OWASP recommends it for servers: 19 MiB and 20 ms of one core."""


def file_options(command: Command) -> Command:
    """Add what says which file is meant; the command gets `given` and `config_file`."""
    file = click.option(
        "--file", "-f", "given", metavar="FILE", help="The users file; else the configuration's only one."
    )
    return file(config_option(command))


@click.group()
def user() -> None:
    """
    Keep the users of a users file.

    A running node reads it again within a second.
    """


@user.command()
@click.argument("name")
@file_options
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line.")
@click.option("--replace", is_flag=True, help="Give a user who is there another password.")
def add(name: str, given: str | None, config_file: str | None, password_stdin: bool, replace: bool) -> None:
    """
    Add a user, whose password is asked twice.

    The file keeps what it holds otherwise, comments among it; it is made if it is not there.
    """
    from penstock.config.mistakes import Wrong  # noqa: PLC0415
    from penstock.config.users_edit import change  # noqa: PLC0415
    from penstock.config.users_file import check_name, put, remove  # noqa: PLC0415

    def changed(content: bytes) -> bytes:
        if not replace and remove(content, name) != content:
            raise CommandError(f"{name} is there already; give --replace for another password")
        return put(content, name, hashed)

    path = _path(given, config_file)
    try:
        check_name(name)
        hashed = _hash(_password(stdin=password_stdin))
        change(path, changed)
    except Wrong as wrong:
        raise click.UsageError(wrong.what) from None
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None


@user.command(name="remove")
@click.argument("name")
@file_options
def remove_user(name: str, given: str | None, config_file: str | None) -> None:
    """Remove a user, whose next login is refused."""
    from penstock.config.mistakes import Wrong  # noqa: PLC0415
    from penstock.config.users_edit import change  # noqa: PLC0415
    from penstock.config.users_file import check_name, remove  # noqa: PLC0415

    path = _path(given, config_file)
    if not path.exists():
        raise CommandError(f"{path}: no such file")
    try:
        check_name(name)
        found = change(path, lambda content: remove(content, name))
    except Wrong as wrong:
        raise click.UsageError(wrong.what) from None
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None
    if not found:
        raise CommandError(f"{path} has no user {name}")


@user.command(name="list")
@file_options
@click.option("--json", "form", flag_value="json", type=str, help="Short for -o json.")
@click.option(
    "--output", "-o", "form", type=click.Choice(["table", "json", "yaml", "csv"]), default="table", show_default=True,
    help="What is printed.",
)  # fmt: skip
def list_users(given: str | None, config_file: str | None, form: str) -> int:
    """
    List the users and what each hash costs, never the hash.

    Lines that are wrong are told on standard error; the command then ends with 78.
    """
    from penstock.config.files import read_bounded  # noqa: PLC0415
    from penstock.config.users_file import COST, FILE_BYTES, parse  # noqa: PLC0415

    path = _path(given, config_file)
    try:
        users = parse(read_bounded(path, FILE_BYTES))
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None
    rows: list[dict[str, object]] = []
    for name, hashed in users.hashes.items():
        cost = COST.match(hashed)
        assert cost is not None  # noqa: S101 - what parse returns has one
        rows.append({"user": name} | dict(zip(("memory_kib", "passes", "lanes"), map(int, cost.groups()), strict=True)))
    emit(form, rows, rows, lambda: _show(rows))
    for line, what in users.wrong:
        click.echo(f"{path}:{line}: {what}", err=True)
    return Exit.CONFIGURATION if users.wrong else Exit.OK


def _path(given: str | None, config_file: str | None) -> Path:
    from penstock.config.users_edit import the_only_file  # noqa: PLC0415

    return Path(given) if given is not None else the_only_file(config_file, os.environ)


def _show(rows: list[dict[str, object]]) -> None:
    listing = table("User", "Memory KiB", "Passes", "Lanes", right=["Memory KiB", "Passes", "Lanes"])
    for row in rows:
        add_row(listing, *map(str, row.values()))
    console().print(listing)


def _password(*, stdin: bool) -> bytes:
    """Return what was typed twice, or stands in the first line of standard input."""
    if stdin:
        password = sys.stdin.buffer.readline(LOGIN_BYTES + 3).removesuffix(b"\n").removesuffix(b"\r")
    elif sys.stdin.isatty():
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)).encode()
    else:
        raise click.UsageError("no terminal to ask for the password on: give --password-stdin")
    if not 0 < len(password) <= LOGIN_BYTES or any(byte < 0x20 or byte == 0x7F for byte in password):
        raise click.UsageError(f"a password has 1 to {LOGIN_BYTES} bytes without control characters")
    return password


def _hash(password: bytes) -> str:
    from argon2 import PasswordHasher, Type  # noqa: PLC0415 - 20 ms

    hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES, HASH_BYTES, SALT_BYTES, type=Type.ID)
    return hasher.hash(password)
