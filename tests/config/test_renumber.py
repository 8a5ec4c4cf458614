"""Numbers that outlive a reload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.config.plan import ListenerPlan, MatchPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.config.renumber import LAST, Numbers, numbers_of, renumber, target_names

NAMES = ("a", "b", "c", "d", "e")


def plan_of(listeners, routes):
    """Return a plan that is numbered from 1: names of listeners, and ports of targets by name of each route."""
    numbers = iter(range(1, 1_000))

    def route(number, name, match):
        ports = routes[name]
        targets = tuple(TargetPlan(id=next(numbers), host="h", port=port) for port in ports)
        return RoutePlan(id=number, name=name, match=match, targets=targets)

    names = list(routes)
    own = RoutePlan(id=1, name="default")
    made = tuple(
        ListenerPlan(id=number, name=name, protocol="tcp", host="::1", port=number, route=own)
        for number, name in enumerate(listeners, 1)
    )
    match = MatchPlan(listeners=tuple(each.id for each in made[:2]))
    matched = tuple(route(number, name, match) for number, name in enumerate(names, 2))
    worker = WorkerPlan(listeners=made, routes=matched)
    return NodePlan(name="n", workers=1, admin=None, socket_path="/s", worker=worker)


plans = st.builds(
    plan_of,
    st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.integers(1, 3), max_size=4)),
)


def named(plan):
    """Return every (kind, name) of a plan with its number."""
    worker = plan.worker
    routes = [*(each.route for each in worker.listeners), *worker.routes]
    found = {("listener", each.name): each.id for each in worker.listeners}
    found |= {("route", each.name): each.id for each in routes}
    return found | {("target", name): number for number, name in target_names(routes).items()}


@given(st.lists(plans, min_size=2, max_size=5))
def test_a_name_has_one_number_for_ever_and_a_number_one_name(history):
    """Through any reloads: whatever keeps its name keeps its id, and no id ever stands for two names of a kind."""
    numbers, ever = numbers_of(history[0]), named(history[0])
    for told in history[1:]:
        plan, numbers = renumber(told, numbers)
        for key, number in named(plan).items():
            assert ever.setdefault(key, number) == number
    for kind in ("listener", "route", "target"):
        given_out = [number for (each, _), number in ever.items() if each == kind]
        assert len(set(given_out)) == len(given_out)
        assert min(given_out, default=1) >= 1


@given(plans, plans)
def test_a_plan_means_the_same_under_its_new_numbers(before, after):
    """Targets, weights and the listeners that a route serves are those of the plan that came in."""
    found = renumber(after, numbers_of(before)).plan.worker
    names = {each.id: each.name for each in found.listeners}
    for old, new in zip(after.worker.routes, found.routes, strict=True):
        assert [str(each) for each in old.targets] == [str(each) for each in new.targets]
        asked = {each.id: each.name for each in after.worker.listeners}
        assert [asked[each] for each in old.match.listeners] == [names[each] for each in new.match.listeners]


def test_the_same_plan_keeps_its_numbers():
    """A reload without a change changes nothing."""
    plan = plan_of(["a", "b"], {"c": [1, 1, 2]})
    assert renumber(plan, numbers_of(plan)) == (plan, numbers_of(plan))


def test_targets_with_the_same_address_are_told_apart_by_order():
    """Two targets of one route with one address have two names."""
    route = RoutePlan(id=1, name="r", targets=tuple(TargetPlan(id=n, host="h", port=1) for n in (4, 5)))
    assert target_names([route, route]) == {4: ("r", "h:1", 0), 5: ("r", "h:1", 1)}


def test_numbers_end():
    """When all numbers have had a name, a new one is refused and nothing is used twice."""
    full = Numbers(listeners={f"l{number}": number for number in range(1, LAST + 1)})
    with pytest.raises(ConfigurationError, match="65,535 names"):
        renumber(plan_of(["a"], {}), full)
