"""Keys and values that have a meaning in Penstock, but not in this release: better said than guessed at."""

from penstock.config.mistakes import Key

KEYS = frozenset(
    {
        ("manager",), ("guard",), ("alert",),
        ("limits", "rate"), ("limits", "bandwidth"), ("limits", "quota"), ("listener", "limits", "quota"),
        ("listener", "timeouts"),
    }
)  # fmt: skip
"""Keys, without the numbers of list items."""

VALUES: dict[tuple[str, ...], frozenset[str]] = {
    ("listener", "detect"): frozenset(("tls",)),
}
"""Values by key."""


def is_later(key: Key, value: object = None) -> bool:
    """Return whether a key, or a value of a key that there is, belongs to a later release."""
    words = tuple(part for part in key if isinstance(part, str))
    return words in KEYS or (isinstance(value, str) and value in VALUES.get(words, ()))
