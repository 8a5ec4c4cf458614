"""From what is written to what is meant: every mistake at once, or a configuration without any."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from penstock.base.clock import NS, SystemClock
from penstock.base.errors import ConfigurationError
from penstock.config.admin_token import read_token
from penstock.config.attached import Attached, attach
from penstock.config.eab import read_key
from penstock.config.mistakes import (
    MISTAKES,
    WHAT_CHARACTERS,
    Assign,
    Key,
    Mistake,
    Wrong,
    cut,
    hide_logins,
    printable,
    shown,
)
from penstock.config.model import LISTS, Config
from penstock.config.rules import check
from penstock.config.table import HOLE, Table, known
from penstock.config.translate import table_of, translate
from penstock.config.way import Target
from penstock.config.written import Written


class Settled(NamedTuple):
    """
    A configuration without mistakes.

    Args:
        config: What is written, with defaults for the rest.
        token: The admin door's bearer token; None for none.
        state_dir: Where the operator wants what outlives a restart; None for the usual place.
        store: Where the operator wants the store; None for the usual place, or for none at all.
        notices: What is right and should be written otherwise; a line for each.
        attached: The files that listeners and routes name.
        access_file: Where the operator wants the access log; None for the usual place, or for standard output.
        acme_storage: Where the operator wants what ACME brings; None for the usual place.
        acme_ca: Authorities of the ACME directory's own certificate; None for those that everybody trusts.
        acme_eab_key: Where the key lies that binds us to an account there; None for none.
    """

    config: Config
    token: str | None
    state_dir: Path | None
    store: Path | None = None
    notices: tuple[str, ...] = ()
    attached: Attached = Attached()
    access_file: Path | None = None
    acme_storage: Path | None = None
    acme_ca: Path | None = None
    acme_eab_key: Path | None = None


def settle(written: Written, now_ns: int | None = None) -> Settled:
    """
    Return the configuration that the layers make together.

    Args:
        written: All layers.
        now_ns: Time since the epoch, by which certificates are valid or not; unit ns, None for the system's.

    Raises:
        ConfigurationError: With every mistake, in the order in which they stand in their sources.
    """
    config, mistakes = _draft(written.tree)
    token, attached, acme_ca, eab_key = None, Attached(), None, None
    if config is not None:
        mistakes += check(config)
        token = _token(config, written, mistakes)
        now_ns = SystemClock.wall_ns() if now_ns is None else now_ns
        attached = attach(config, written, now_ns // NS, mistakes)
        acme_ca = _acme_file(config, written, "ca", _check_authorities, mistakes)
        eab_key = _acme_file(config, written, "eab_key_file", read_key, mistakes)
    if mistakes or written.mistakes or config is None:
        raise ConfigurationError([*told(mistakes, written), *written.mistakes])
    state_dir = _path(written, ("node", "state_dir"), config.node.state_dir)
    store = _path(written, ("store", "path"), config.store.path)
    access = None if config.log.access_file == "-" else _path(written, ("log", "access_file"), config.log.access_file)
    storage = _path(written, ("acme", "storage"), config.acme.storage)
    notices = (*written.notices, *attached.notices)
    return Settled(config, token, state_dir, store, notices, attached, access, storage, acme_ca, eab_key)


def told(mistakes: Iterable[Mistake], written: Written) -> list[str]:
    """Return one line for each mistake, at most MISTAKES of them and one that says that there are more."""
    lines = [(*written.place(_existing(each, written))[:2], _line(each, written)) for each in mistakes]
    texts = list(dict.fromkeys(text for _, _, text in sorted(lines, key=lambda line: line[:2])))
    return [*texts[:MISTAKES], "and more of them"] if len(texts) > MISTAKES else texts


def _line(mistake: Mistake, written: Written) -> str:
    key = _existing(mistake, written)
    layer, _ = written.origin(key)
    words = [written.place(key)[2]]
    if mistake.present:
        words.append("***" if mistake.hidden else shown(key, written.walk(key)[1]))
    what = _safe(mistake.what)
    write = layer.spell(mistake.write) if isinstance(mistake.write, Assign) else mistake.write
    if write:
        what += f"; write {_safe(write)}"
        if mistake.present and not isinstance(mistake.write, Assign):
            what += " instead"
    return ": ".join([*words, what])


def _safe(text: str) -> str:
    return printable(cut(hide_logins(text), WHAT_CHARACTERS))


def _existing(mistake: Mistake, written: Written) -> Key:
    return written.walk(mistake.key)[0] if mistake.present else mistake.key


def _draft(tree: dict[str, Any]) -> tuple[Config | None, list[Mistake]]:
    """Return the configuration with holes where mistakes are, and the mistakes."""
    try:
        return Config.model_validate(tree), []
    except ValidationError as error:
        mistakes = translate(error)
    try:
        return Config.model_validate(_with_holes(tree, mistakes)), mistakes
    except (
        ValidationError
    ):  # there were more than FINDINGS of them; those that are known are worth telling by themselves
        return None, mistakes


def _with_holes(tree: dict[str, Any], mistakes: list[Mistake]) -> dict[str, Any]:
    tree = _copied(tree, levels=4)  # the list, its item, its targets, one of them
    for mistake in mistakes:
        section, *rest = mistake.key
        if not rest:
            _punch(tree, str(section), Config)
        elif section in LISTS:
            _punch_item(tree[str(section)], mistake.key)
        else:
            _punch(tree[str(section)], str(rest[0]), table_of((section,)))
    return tree


def _copied(value: Any, levels: int) -> Any:
    if levels and isinstance(value, dict):
        return {key: _copied(each, levels - 1) for key, each in value.items()}
    return [_copied(each, levels - 1) for each in value] if levels and isinstance(value, list) else value


def _punch_item(items: list[Any], key: Key) -> None:
    number, table = int(key[1]), table_of(key[:1])
    if len(key) == 2:
        items[number] = dict.fromkeys(table.model_fields if table else (), HOLE)
    elif len(key) > 3 and key[2] == "targets":
        items[number]["targets"][int(key[3])] = dict.fromkeys(Target.model_fields, HOLE)
    else:
        _punch(items[number], str(key[2]), table)


def _punch(values: dict[str, Any], key: str, table: type[Table] | None) -> None:
    """Put a hole where a known key stands; an unknown one goes, and a section that is no table falls to its default."""
    if table is None or key not in table.model_fields or (table is Config and key not in LISTS):
        values.pop(key, None)
    else:
        values[key] = HOLE


def _token(config: Config, written: Written, mistakes: list[Mistake]) -> str | None:
    key = ("admin", "token_file")
    path = _path(written, key, config.admin.token_file)
    if path is None:
        return None
    try:
        return read_token(path)
    except Wrong as wrong:
        mistakes.append(Mistake(key, wrong.what))
        return None


def _acme_file(
    config: Config, written: Written, name: str, look_at: Callable[[Path], object], mistakes: list[Mistake]
) -> Path | None:
    """Return where a file of `[acme]` lies; a mistake where `look_at` finds it wrong."""
    key = ("acme", name)
    path = _path(written, key, getattr(config.acme, name)) if known(config.acme) else None
    if path is None:
        return None
    try:
        look_at(path)
    except Wrong as wrong:
        mistakes.append(Mistake(key, wrong.what))
    return path.absolute()


def _check_authorities(path: Path) -> None:
    from penstock.config.certificates import check_authorities  # noqa: PLC0415 - 60 ms

    check_authorities(path)


def _path(written: Written, key: Key, value: str | None) -> Path | None:
    return written.origin(key)[0].folder / value if value is not None and known(value) else None
