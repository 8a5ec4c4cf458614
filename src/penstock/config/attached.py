"""The files that listeners and routes name: where they lie, and what stands in those that are read at once."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.config import users_file
from penstock.config.files import read_bounded, why
from penstock.config.functions import find
from penstock.config.http_kinds import BODY_BYTES
from penstock.config.mistakes import Key, Mistake, Wrong
from penstock.config.model import LISTS, Config
from penstock.config.strangers import strangers
from penstock.config.table import Table, known
from penstock.config.written import Written

if TYPE_CHECKING:
    from penstock.config.certificates import Looked

_FILES = {
    "Certificate": ("cert", "key"),
    "ListenerTls": ("client_ca",),
    "TargetTls": ("ca", "cert", "key"),
    "Listener": ("users_file",),
    "Route": ("body_file", "users_file"),
    "Blocklist": ("file",),
}
"""Keys that are paths, by table."""


class Attached(NamedTuple):
    """
    What the files of a configuration come to.

    Args:
        paths: Where each of them lies, by the key that names it; absolute.
        bodies: What stands in the bodies of answers, by the key of the file.
        certificates: What the certificates say, by the key of the table that names their files.
        notices: What is right today and will not be for long; a line for each.
    """

    paths: Mapping[Key, Path] = {}
    bodies: Mapping[Key, str] = {}
    certificates: Mapping[Key, "Looked"] = {}
    notices: tuple[str, ...] = ()

    def path(self, key: Key, value: str | None) -> str:
        """Return where the file lies that `value` names at `key`; empty for none."""
        if value is None:
            return ""
        return str(self.paths.get(key, value))


def attach(config: Config, written: Written, now_s: int, mistakes: list[Mistake]) -> Attached:
    """
    Return the files of all listeners and routes.

    Args:
        config: May have holes.
        written: Who wrote each key: a relative path starts beside the file that names it.
        now_s: Unit s since the epoch: certificates have their time.
        mistakes: Gets one more for each file that cannot be used.
    """
    paths: dict[Key, Path] = {}
    for section in LISTS:
        items = getattr(config, section)
        for number, item in enumerate(items if known(items) else ()):
            for key, value in _named(item, (section, number)):
                paths[key] = (written.origin(key)[0].folder / value).absolute()
    bodies: dict[Key, str] = {}
    users: dict[Path, tuple[Collection[str], list[str]]] = {}
    for key, path in paths.items():
        if key[-1] == "body_file":
            _read_body(key, path, bodies, mistakes)
        elif key[-1] == "users_file":
            if path not in users:  # listeners share files, and one may hold a hundred thousand users
                users[path] = _read_users(path)
            mistakes += (Mistake(key, what) for what in users[path][1])
    certificates = _certificates(paths, now_s, mistakes)
    _check_ciphers(config, mistakes)
    _find_handlers(config, mistakes)
    unknown = strangers(config, {path: names for path, (names, _) in users.items()}, written)
    return Attached(paths, bodies, certificates, (*_ending(certificates, written, now_s), *unknown))


def _certificates(paths: Mapping[Key, Path], now_s: int, mistakes: list[Mistake]) -> dict[Key, "Looked"]:
    """Return what all certificates say; a mistake for each that cannot be used, and for each file of authorities."""
    concerned = {key: path for key, path in paths.items() if key[-1] in ("cert", "ca", "client_ca")}
    if not concerned:
        return {}
    from penstock.config.certificates import WrongKey, check_authorities, look_at  # noqa: PLC0415 - 60 ms

    found: dict[Key, Looked] = {}
    for key, path in concerned.items():
        pair, own_key = key[:-1], (*key[:-1], "key")
        try:
            if key[-1] == "cert":
                found[pair] = look_at(path, paths.get(own_key, path), now_s, named="certificates" in key)
            else:
                check_authorities(path)
        except WrongKey as wrong:
            mistakes.append(Mistake(own_key if own_key in paths else key, wrong.what))
        except Wrong as wrong:
            mistakes.append(Mistake(key, wrong.what))
    return found


def _find_handlers(config: Config, mistakes: list[Mistake]) -> None:
    """Import the modules of handlers, as workers will: what is missing there is better told here."""
    for number, route in enumerate(config.route if known(config.route) else ()):
        if known(route.handler) and route.handler is not None:
            try:
                find(route.handler)
            except ValueError as error:
                mistakes.append(Mistake(("route", number, "handler"), str(error)))


def _check_ciphers(config: Config, mistakes: list[Mistake]) -> None:
    for number, listener in enumerate(config.listener if known(config.listener) else ()):
        if known(listener.tls) and known(listener.tls.ciphers) and listener.tls.ciphers:
            from penstock.config.certificates import check_ciphers  # noqa: PLC0415

            try:
                check_ciphers(listener.tls.ciphers)
            except Wrong as wrong:
                mistakes.append(Mistake(("listener", number, "tls", "ciphers"), wrong.what, wrong.write))


def _ending(certificates: Mapping[Key, "Looked"], written: Written, now_s: int) -> Iterator[str]:
    """Yield a line for each certificate that ends soon."""
    for key, looked in certificates.items():
        from penstock.config.certificates import DAY, SOON, on_day  # noqa: PLC0415

        if looked.not_after - now_s < SOON:
            days = (looked.not_after - now_s) // DAY
            left = f"{days} days" if days > 1 else "a day" if days else "less than a day"
            place, day = written.place((*key, "cert"))[2], on_day(looked.not_after)
            yield f"{place}: the certificate expires on {day}, in {left}"


def _named(table: Table, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield each path within a table with its key."""
    files = _FILES.get(type(table).__name__, ())
    for name in type(table).model_fields:
        if name not in table.model_fields_set:  # a default names no file
            continue
        value: Any = getattr(table, name)
        if not known(value) or value is None:
            continue
        if name in files:
            yield (*key, name), value
        elif isinstance(value, Table):
            yield from _named(value, (*key, name))
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if isinstance(each, Table):
                    yield from _named(each, (*key, name, number))


def _read_body(key: Key, path: Path, bodies: dict[Key, str], mistakes: list[Mistake]) -> None:
    try:
        bodies[key] = read_bounded(path, BODY_BYTES).decode()
    except UnicodeDecodeError:
        mistakes.append(Mistake(key, "is not UTF-8"))
    except (OSError, ValueError) as error:
        mistakes.append(Mistake(key, why(error)))


def _read_users(path: Path) -> tuple[Collection[str], list[str]]:
    """Return who stands in a file of users, and what is wrong with it; its hashes are read again by who needs them."""
    try:
        users = users_file.parse(read_bounded(path, users_file.FILE_BYTES))
    except FileNotFoundError as error:
        return (), [f"{why(error)}; make it with `penstock user add NAME --file {path}`"]
    except (OSError, ValueError) as error:
        return (), [why(error)]
    return users.hashes.keys(), [f"line {line}: {what}" for line, what in users.wrong]
