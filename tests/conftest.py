"""What all tests share: saying which programs of the machine a test talks to."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(  # no test depends on how fast a machine is
    "penstock", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("penstock")


def pytest_configure(config: pytest.Config) -> None:
    """Introduce the marker `needs`."""
    config.addinivalue_line("markers", "needs(*programs): skipped where a program is missing; a failure with CI=true")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing; where everything must run, fail instead."""
    wanted = [program for mark in item.iter_markers("needs") for program in mark.args]
    missing = [program for program in wanted if shutil.which(program, path=_path()) is None]
    if not missing:
        return
    reason = f"missing: {', '.join(missing)} (scripts/test-setup installs them)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"  # where Debian keeps daemons
