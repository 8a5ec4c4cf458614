"""The admin door's bearer token, read from its file."""

import re
from pathlib import Path

from penstock.config.files import read_bounded, why
from penstock.config.mistakes import Wrong

TOKEN_BYTES = 4_096
"""Longest token file; a signed web token of a thousand bytes fits with room, and a header of 8 KiB holds it."""

_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1, b64token."""


def read_token(path: Path) -> str:
    """
    Return the token that a file holds; space around it is no part of it.

    Args:
        path: Where the file lies.

    Raises:
        Wrong: If the file cannot be read or holds no token. The message does not quote what it holds.
    """
    try:
        content = read_bounded(path, TOKEN_BYTES).strip()
    except (OSError, ValueError) as error:
        raise Wrong(why(error)) from None
    if not content:
        raise Wrong("the file is empty: it must hold a token")
    if not _TOKEN.fullmatch(content):
        raise Wrong("the file must hold one token of letters, digits and -._~+/=, and nothing else")
    return content.decode()
