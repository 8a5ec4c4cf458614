"""All layers of a configuration in one. The later one wins, and every value remembers who wrote it."""

import re
from collections.abc import Sequence
from typing import Any

from penstock.config.changes import SECTIONS, Runtime
from penstock.config.layers import Layer
from penstock.config.mistakes import Key
from penstock.config.model import LISTS
from penstock.config.monitoring import SECTION, differs, notice, renamed


class Written:
    """
    All layers in one.

    Tables are merged key by key, the later layer's value replacing the earlier one's; lists of tables are joined.
    What stands in [monitoring] counts under its present name, and still knows where it stands.

    Args:
        layers: The weakest first.
        main: The one of them that is told of what nobody has written.
        runtime: Tables that were changed since the layers were read; each takes the place of its namesake.
        listeners: Names of the layers' listeners, in their order; only for changes.

    Attributes:
        mistakes: What is wrong with the layers themselves; a line for each.
        notices: What is right and should be written otherwise; a line for each.
        tree: All values.
        names: What items of lists are called.
    """

    def __init__(
        self, layers: Sequence[Layer], main: Layer, runtime: Runtime | None = None, listeners: Sequence[str] = ()
    ) -> None:
        self.layers, self._main = [*layers, *([runtime] if runtime else [])], main
        self.mistakes = [mistake for layer in self.layers for mistake in layer.mistakes]
        self.notices: list[str] = []
        self.tree: dict[str, Any] = {}
        self._origins: dict[Key, tuple[Layer, Key]] = {}
        for layer in layers:
            for section, value in layer.tree.items():
                if section != SECTION:
                    self._add(layer, section, value)
            if SECTION in layer.tree:
                self._add_older(layer, layer.tree[SECTION])
        if runtime is not None:
            self._change(runtime, listeners)
        self.names = self._item_names()

    def _change(self, runtime: Runtime, listeners: Sequence[str]) -> None:
        """Put changed tables where their namesakes stand, new ones at the end, and take away those that are gone."""
        for section in SECTIONS:
            items: list[Any] = self.tree.get(section, [])
            names = listeners if section == "listener" else [each["name"] for each in items]
            rows = {
                name: ({**item, "name": name}, self.origin((section, at)))
                for at, (name, item) in enumerate(zip(names, items, strict=True))
            }
            rows |= {table["name"]: (table, (runtime, (section, at))) for at, table in enumerate(runtime.tree[section])}
            kept = [row for name, row in rows.items() if (section, name) not in runtime.gone]
            self.tree[section] = [table for table, _ in kept]
            self._origins |= {(section, at): origin for at, (_, origin) in enumerate(kept)}

    def _add(self, layer: Layer, section: str, value: Any) -> None:
        held = self.tree.get(section)
        if isinstance(value, dict):
            merged = dict(held) if isinstance(held, dict) else {}
            for key in value:
                self._origins[section, key] = (layer, (section, key))
            self.tree[section] = merged | value
        elif isinstance(value, list):
            held = list(held) if isinstance(held, list) else []
            for number in range(len(value)):
                self._origins[section, len(held) + number] = (layer, (section, number))
            self.tree[section] = held + value
        else:
            self.tree[section] = value
        self._origins[(section,)] = (layer, (section,))

    def _add_older(self, layer: Layer, section: Any) -> None:
        """Add a [monitoring] section: what it says under present names, what it should not say for the validator."""
        found = renamed(section)
        for each in found:
            there = (SECTION, each.older)
            if what := differs(each, layer.tree):
                self.mistakes.append(f"{layer.place(there, {})[1]}: {what}")
            elif isinstance(layer.tree.get(str(each.key[0]), {}), dict):
                self._add(layer, str(each.key[0]), {each.key[1]: each.value})
                self._origins[each.key] = (layer, there)
        said = {each.older for each in found}
        if not isinstance(section, dict) or section.keys() - said:
            rest = {key: section[key] for key in section if key not in said} if isinstance(section, dict) else section
            self._add(layer, SECTION, rest)
        if isinstance(section, dict):
            self.notices.append(notice(found, layer.place((SECTION, *[each.older for each in found][:1]), {})[1]))

    def _item_names(self) -> dict[Key, str]:
        names: dict[Key, str] = {}
        for section in LISTS:
            items = self.tree.get(section)
            for number, item in enumerate(items if isinstance(items, list) else []):
                name = item.get("name") if isinstance(item, dict) else None
                if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,63}", name, re.ASCII):
                    names[section, number] = name
        return names

    def place(self, key: Key) -> tuple[int, int, str]:
        """Return the number of the layer that holds a key, the key's position there, and how to point at it."""
        layer, there = self.origin(key)
        names = {(*there[:1], *there[1:2]): self.names[key[:2]]} if key[:2] in self.names else {}
        position, text = layer.place(there, names)
        return self.layers.index(layer), position, text

    def origin(self, key: Key) -> tuple[Layer, Key]:
        """Return the layer that a key comes from, and the key there."""
        for length in range(min(len(key), 2), 0, -1):
            if found := self._origins.get(key[:length]):
                return found[0], (*found[1], *key[length:])
        return self._main, key

    def walk(self, key: Key) -> tuple[Key, Any]:
        """Return a key as far as it exists, and its value: a target written as text has no address within."""
        value: Any = self.tree
        for depth, part in enumerate(key):
            if isinstance(value, str):
                return key[:depth], value
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return key, None
        return key, value
