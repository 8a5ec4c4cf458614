"""A log that cannot be written is found out at the start."""

import pytest

from penstock.base.errors import StartError
from penstock.config.plan import AccessPlan
from penstock.node.access import try_access_log


def test_file_and_directory_are_made(tmp_path):
    """A first start needs nothing; a log that is off makes nothing."""
    path = tmp_path / "state" / "n.access.log"
    try_access_log(AccessPlan(file=str(path)))
    assert not path.parent.exists()
    try_access_log(AccessPlan(format="json", file=str(path)))
    assert path.read_bytes() == b""


def test_a_log_that_cannot_be_written_is_said(tmp_path):
    """One line with the path and the system's reason."""
    with pytest.raises(StartError, match=f"access log: {tmp_path} cannot be written: Is a directory"):
        try_access_log(AccessPlan(format="combined", file=str(tmp_path)))
