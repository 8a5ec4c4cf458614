"""Routes at work."""

from itertools import islice

from penstock.config.plan import RoutePlan, TargetPlan
from penstock.dataplane.route import Routes

ONE, TWO = (TargetPlan(id=number, host="192.0.2.1", port=number) for number in (1, 2))


def test_listeners_that_share_a_route_share_its_turns():
    """Equal routes are one, and go on where the other one has left off; other targets make it another route."""
    app = RoutePlan(id=1, name="app", targets=(ONE, TWO))
    other = RoutePlan(id=1, name="app", targets=(TWO,))
    routes = Routes([app, RoutePlan(id=1, name="app", targets=(ONE, TWO)), other])
    assert routes.of(app) is routes.of(RoutePlan(id=1, name="app", targets=(ONE, TWO)))
    assert [routes.of(app).next_target().id for _ in range(3)] == [1, 2, 1]
    assert [each.id for each in islice(iter(routes.of(other).next_target, None), 2)] == [2, 2]
