"""[monitoring], the older section: what each of its keys is called now, and what is wrong when both names are used."""

from typing import Any, NamedTuple

from penstock.config.mistakes import Key, shown, spelled

SECTION = "monitoring"

NAMES: dict[str, Key] = {
    "enabled": ("metrics", "enabled"),
    "metrics_addr": ("admin", "listen"),
    "log_level": ("log", "level"),
    "prometheus_enabled": ("metrics", "prometheus"),
    "max_historical_connections": ("metrics", "connection_records"),
}
"""What each older key is called now."""

STATS = "collect_connection_stats"
"""The older key that switched off what these now switch one by one."""

OFF: tuple[Key, ...] = (
    ("metrics", "clients"),
    ("metrics", "users"),
    ("metrics", "destinations"),
    ("metrics", "connection_records"),
)


class Renamed(NamedTuple):
    """
    A value under its present name.

    Args:
        older: The key of [monitoring] that was written.
        key: What it is called now.
        value: As written.
    """

    older: str
    key: Key
    value: Any


def renamed(section: Any) -> list[Renamed]:
    """
    Return what a [monitoring] section says in present words. What it does not know is left out; the validator tells.

    Args:
        section: The section as it was read: anything.
    """
    if not isinstance(section, dict):
        return []
    found = [Renamed(older, key, section[older]) for older, key in NAMES.items() if older in section]
    if section.get(STATS) is False:
        off = [Renamed(STATS, key, 0) for key in OFF]
        found = [each for each in found if each.key not in OFF] + off
    return found


def differs(found: Renamed, tree: dict[str, Any]) -> str:
    """
    Return what is wrong if the same source also says something else under the present name; empty if nothing is.

    Args:
        found: One value of its [monitoring].
        tree: The whole source.
    """
    section, key = str(found.key[0]), str(found.key[1])
    table = tree.get(section)
    if not isinstance(table, dict) or key not in table:
        return ""
    here = table[key]
    if here == found.value and type(here) is type(found.value):
        return ""
    present = f"{spelled(found.key)} = {shown(found.key, here)}"
    return f"says {shown(found.key, found.value)} for {spelled(found.key)}, and {present} stands there too; keep one"


def notice(found: list[Renamed], place: str) -> str:
    """
    Return what an operator is told once about a [monitoring] section.

    Args:
        found: What it says; empty for a section that says nothing.
        place: How to point at it.
    """
    now = list(dict.fromkeys(f"{spelled(each.key)} = {_written(each)}" for each in found))
    instead = f"; write {', '.join(now)} instead" if now else " and says nothing that is not the default"
    return f"{place}: [{SECTION}] is an older section{instead}"


def _written(found: Renamed) -> str:
    value = shown(found.key, found.value)
    return f'"{value[1:-1]}"' if isinstance(found.value, str) and value != "***" else value
