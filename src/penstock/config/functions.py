"""
Handlers by name: `module:function` of whatever can be imported, or a function that an embedding program has given.
"""

import importlib
from collections.abc import Callable
from itertools import count
from typing import Any

GIVEN = "penstock.given"
"""Module of the names of given functions. There is none: they are known in this process alone."""

_given: dict[str, Callable[..., Any]] = {}
_numbers = count(1)


def give(function: Callable[..., Any]) -> str:
    """Return a name for a function, by which `find` finds it in this process until `forget`."""
    name = f"{GIVEN}:h{next(_numbers)}"
    _given[name] = function
    return name


def forget(names: list[str]) -> None:
    """Find these given functions no more."""
    for name in names:
        _given.pop(name, None)


def find(name: str) -> Callable[..., Any]:
    """
    Return a handler.

    Args:
        name: `module:function`; the function's name may have dots. Imports the module.

    Raises:
        ValueError: If it cannot be imported, or called with one argument; the message says why.
    """
    if (given := _given.get(name)) is not None:
        return _called_with_one(getattr(given, "__qualname__", type(given).__name__), given)
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # whatever a module does while it is imported
        raise ValueError(f"{module} cannot be imported: {said(error)}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(f"{module} has no {path}") from None
    if not callable(found):
        raise ValueError(f"{name} cannot be called")
    return _called_with_one(name, found)


def _called_with_one(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes the facts and needs nothing else; raises ValueError for another one."""
    from inspect import signature  # noqa: PLC0415 - workers without handlers do not need it

    try:
        takes = signature(function)
    except (ValueError, TypeError):  # some functions in C do not say
        return function
    try:
        takes.bind(None)
    except TypeError:
        raise ValueError(f"{name}{takes} cannot be called with one argument, the facts") from None
    return function


def said(error: BaseException) -> str:
    """Return an exception as one line for people."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
