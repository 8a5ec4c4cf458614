"""Whether the access log can be written: found out before a node serves, not when lines are lost."""

import os
from pathlib import Path

from penstock.base.errors import StartError
from penstock.config.plan import AccessPlan
from penstock.dataplane.access_file import STANDARD_OUTPUT, open_log


def try_access_log(access: AccessPlan) -> None:
    """
    Open the file of the access log once; one that is not there is made, with its directory.

    Args:
        access: Where it is; nothing is done where it is off.

    Raises:
        StartError: If it cannot be written.
    """
    if access.format == "off":
        return
    try:
        if access.file != STANDARD_OUTPUT:
            Path(access.file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(open_log(access.file))
    except OSError as error:
        raise StartError(f"access log: {access.file} cannot be written: {error.strerror}") from error
