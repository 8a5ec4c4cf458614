"""All layers of a configuration in one. The later one wins, and every value remembers who wrote it."""

import re
from collections.abc import Sequence
from typing import Any

from penstock.config.layers import Layer
from penstock.config.mistakes import Key


class Written:
    """
    All layers in one.

    Tables are merged key by key, the later layer's value replacing the earlier one's; lists of tables are joined.

    Args:
        layers: The weakest first.
        main: The one of them that is told of what nobody has written.
    """

    def __init__(self, layers: Sequence[Layer], main: Layer) -> None:
        self.layers, self._main = layers, main
        self.mistakes = [mistake for layer in layers for mistake in layer.mistakes]
        self.tree: dict[str, Any] = {}
        self._origins: dict[Key, tuple[Layer, Key]] = {}
        for layer in layers:
            for section, value in layer.tree.items():
                self._add(layer, section, value)
        self.names = self._item_names()

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

    def _item_names(self) -> dict[Key, str]:
        names: dict[Key, str] = {}
        for section in ("listener", "route"):
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
