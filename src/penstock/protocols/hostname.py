"""
Host names as clients send them: as strict as the resolver behind them needs, so that it never meets a surprise.

Letters, digits, `-` and `_` (RFC 1123 section 2.1, and what the wild adds) in labels of at most 63 bytes, 253 in all
(RFC 1035 section 2.3.4). International names come as A-labels (RFC 5891): one name has one spelling, and access rules
need not know Unicode. An IP address is a name too.
"""

import re

from penstock.base.addresses import is_ip, pack_ip, unpack_ip
from penstock.base.errors import RemoteError

NAME_BYTES = 253

_NAME = re.compile(
    rb"(?:[A-Za-z0-9_-]{1,63}\.)*([A-Za-z0-9_-])[A-Za-z0-9_-]{0,62}\.?"
)  # group: how the last label begins
_ENDS_IN_NUMBER = re.compile(rb"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
_IPV6 = re.compile(rb"[0-9A-Fa-f:.]+")


def parse_hostname(raw: bytes) -> str:
    """
    Return the host name or IP address in `raw`.

    An IPv6 address comes back in its shortest form, an IPv4-mapped one as its IPv4. A name that ends in a number must
    be an IPv4 address of four parts: the system's resolver would read `127.1` and `0x7f000001` as addresses too, behind
    the back of every rule about addresses.

    Args:
        raw: Any bytes.

    Raises:
        RemoteError: If it is no name. The message repeats nothing of `raw`.
    """
    if (match := _NAME.fullmatch(raw)) and len(raw) <= NAME_BYTES + raw.endswith(b"."):
        name = raw.decode("ascii")
        if match[1].isdigit() and _ENDS_IN_NUMBER.fullmatch(raw) and not is_ip(name):
            raise RemoteError("the host name ends in a number and is no IPv4 address")
        return name
    if b":" in raw and _IPV6.fullmatch(raw) and is_ip(text := raw.decode("ascii")):
        return "::" if (host := unpack_ip(pack_ip(text))) == "-" else host
    raise RemoteError("the host name is empty" if not raw else "the host name is none")
