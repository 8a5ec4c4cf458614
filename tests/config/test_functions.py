"""Handlers by name."""

import pytest

from penstock.config.functions import find, forget, give, said


def test_a_function_of_a_module_is_found():
    """The module is imported, and dots lead into what it holds."""
    import os.path

    assert find("os.path:join") is os.path.join
    assert find("os:path.join") is os.path.join


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module_at_all:f", "cannot be imported: ModuleNotFoundError"),
        ("os:no_such_function", "os has no no_such_function"),
        ("os:path.nothing", "os has no path.nothing"),
        ("os:sep", "os:sep cannot be called"),
        ("os:getcwdb", r"os:getcwdb\(\) cannot be called with one argument"),
        ("os:replace", "cannot be called with one argument, the facts"),
        ("penstock.given:h0", "cannot be imported"),
    ],
)
def test_what_cannot_be_found_says_why(name, why):
    """A module that is missing, a name that it lacks, a value that is no function: each has its line."""
    with pytest.raises(ValueError, match=why):
        find(name)


def test_a_module_that_raises_is_a_mistake_in_one_line(tmp_path, monkeypatch):
    """Whatever a module raises while it is imported becomes one line."""
    (tmp_path / "breaks_at_import.py").write_text("raise RuntimeError('first\\nsecond')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="breaks_at_import cannot be imported: RuntimeError: first second"):
        find("breaks_at_import:f")


def test_a_given_function_is_found_until_it_is_forgotten():
    """Two functions have two names; forgetting one forgets that one."""
    first, second = give(len), give(len)
    assert first != second
    assert find(first) is len
    forget([first])
    assert find(second) is len
    with pytest.raises(ValueError, match="cannot be imported"):
        find(first)
    forget([first, second])


def test_a_given_function_takes_the_facts():
    """A function that takes none, or needs more, is a mistake before anybody calls it."""
    none, two, fine, silent = give(lambda: None), give(lambda facts, more: None), give(lambda *facts: None), give(int)
    for wrong in (none, two):
        with pytest.raises(ValueError, match=r"lambda.* cannot be called with one argument, the facts"):
            find(wrong)
    assert callable(find(fine))
    assert find(silent) is int
    forget([none, two, fine, silent])


def test_an_exception_without_words_is_its_name():
    """There is always something to read, and never too much."""
    assert said(KeyError()) == "KeyError"
    assert len(said(ValueError("x" * 10_000))) < 400
