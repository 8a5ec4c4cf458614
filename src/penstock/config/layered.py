"""What a plan is made of: layers as they were read once, so that tables can be changed and all of it judged anew."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from penstock.config.changes import SECTIONS, Changes, Runtime, Section
from penstock.config.changes import Written as WrittenTable
from penstock.config.compile import Machine, compile_plan
from penstock.config.layers import Layer
from penstock.config.listener import Listener
from penstock.config.marked import hide
from penstock.config.plan import NodePlan
from penstock.config.serving import listener_names
from penstock.config.settle import settle
from penstock.config.written import Written


class WrittenView(NamedTuple):
    """
    A table that is in effect.

    Args:
        name: What it is called.
        table: What is written, with secrets covered.
        runtime: Whether it was changed while the node ran.
    """

    name: str
    table: dict[str, Any]
    runtime: bool


class Layered:
    """
    A configuration as it was read.

    Args:
        layers: The weakest first.
        main: The one of them that is told of what nobody has written.
        machine: Where it is to run.
        finish: What is done to each plan at last.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        main: Layer,
        machine: Machine,
        finish: Callable[[NodePlan], NodePlan] = lambda plan: plan,
    ) -> None:
        self._layers, self._main, self._machine, self._finish = layers, main, machine, finish

    def plan(self, changes: Changes = Changes()) -> NodePlan:  # noqa: B008 - frozen
        """
        Return the plan that all of it makes. Files that it names are read anew.

        Args:
            changes: Tables that are other than in the layers.

        Raises:
            ConfigurationError: With every mistake at once.
        """
        return self._finish(compile_plan(settle(self._written(changes)), self._machine))

    def _written(self, changes: Changes) -> Written:
        if not changes.tables:
            return Written(self._layers, self._main)
        return Written(self._layers, self._main, Runtime(changes, self._main.folder), self._listeners)

    def views(self, section: Section, changes: Changes) -> list[WrittenView]:
        """Return every table of a section in its order. Only for a configuration that `plan` has found good."""
        items = self._written(changes).tree.get(section, [])
        names = [each.get("name") for each in items]
        if None in names:  # without changes, listeners may have none
            names = list(self._listeners)
        return [
            WrittenView(str(name), hide(section, table), (section, name) in changes.tables)
            for name, table in zip(names, items, strict=True)
        ]

    def table(self, section: Section, name: str) -> WrittenTable | None:
        """Return a table as it was read, with its name; None if there is none. For a good configuration."""
        return self._tables[section].get(name)

    @cached_property
    def _tables(self) -> dict[Section, dict[str, WrittenTable]]:
        tree = Written(self._layers, self._main).tree
        found: dict[Section, dict[str, WrittenTable]] = {}
        for section in SECTIONS:
            items = tree.get(section, [])
            names = self._listeners if section == "listener" else [each["name"] for each in items]
            found[section] = {name: {**table, "name": name} for name, table in zip(names, items, strict=True)}
        return found

    @cached_property
    def _listeners(self) -> Sequence[str]:
        """Names of the listeners, those that have none of their own included."""
        tree = Written(self._layers, self._main).tree
        return listener_names([Listener.model_validate(each) for each in tree.get("listener", [])])
