"""Counts the work of a call in steps of Python, which are the same on every machine, where time is not."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(work: Callable[[], object]) -> int:
    """
    Return how many lines of Python a call runs, and how many functions of C those lines call.

    What numpy does inside one call is one step, however long its arrays are: so work that does as many steps for many
    rows as for few does nothing in Python for each.

    Args:
        work: What is done, once, in this thread.
    """
    count = 0

    def line(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "c_call"

    collects = gc.isenabled()
    gc.disable()  # whatever asked to be called at a collection is not the work
    before = sys.gettrace(), sys.getprofile()
    sys.settrace(line)
    sys.setprofile(call)
    try:
        work()
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])
        if collects:
            gc.enable()
    return count
