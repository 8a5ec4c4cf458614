"""Work counted in steps of Python."""

import sys

import numpy as np
import pytest

from penstock.testing.steps import steps


def test_a_loop_takes_a_step_for_each_and_numpy_one_for_all():
    """What Python does once for each number is counted as often; what numpy does inside is one step."""

    def loop(count):
        found = 0
        for each in range(count):
            found += each
        return found

    assert steps(lambda: loop(1_000)) - steps(lambda: loop(100)) == 2 * 900
    assert steps(lambda: [len(str(each)) for each in range(1_000)]) > 1_000
    few, many = np.arange(10), np.arange(10_000)
    assert steps(few.cumsum) == steps(many.cumsum)


def test_who_watched_before_watches_again():
    """After an error, too, the tracer and profiler of before are back."""
    before = sys.gettrace(), sys.getprofile()
    with pytest.raises(ZeroDivisionError):
        steps(lambda: 1 / 0)
    assert (sys.gettrace(), sys.getprofile()) == before
