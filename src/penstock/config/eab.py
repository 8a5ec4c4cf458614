"""What binds an ACME account to one that an authority knows already: an id, and a key in a file (RFC 8555, 7.3.4)."""

import re
from pathlib import Path
from typing import Any

from penstock.config.files import read_bounded, why
from penstock.config.kinds import Kind, is_text
from penstock.config.mistakes import Wrong

KEY_BYTES = 1_024
"""Longest file; keys of authorities have 32 or 64 bytes, which are 43 or 86 characters."""

SHORTEST_KEY = 22
"""Characters of a key of 16 bytes: a shorter one could be guessed."""

_KEY = re.compile(rb"[A-Za-z0-9_-]{%d,}" % SHORTEST_KEY)
_KID = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class KeyId(Kind):
    """The id of a key that an authority has given out."""

    def parse(self, value: Any) -> str:
        """Return the id."""
        if not is_text(value) or not _KID.fullmatch(value):
            raise Wrong("must be the key's id as the authority has given it: 1 to 255 visible characters")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^[!-~]{1,255}$"}


def read_key(path: Path) -> str:
    """
    Return the key that a file holds, in base64url without padding.

    Args:
        path: Where the file lies. Space around the key is no part of it.

    Raises:
        Wrong: If the file cannot be read or holds no key. The message does not quote what it holds.
    """
    try:
        content = read_bounded(path, KEY_BYTES).strip().rstrip(b"=")
    except (OSError, ValueError) as error:
        raise Wrong(why(error)) from None
    if not content:
        raise Wrong("the file is empty: it must hold the key that the authority has given")
    if not _KEY.fullmatch(content) or len(content) % 4 == 1:
        raise Wrong(f"the file must hold one key in base64url of {SHORTEST_KEY} characters or more, and nothing else")
    return content.decode()
