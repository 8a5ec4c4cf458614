"""What goes wrong again and again is told once in a while."""

from types import SimpleNamespace

from penstock.base.bounds import ROUTES
from penstock.dataplane.complaints import WINDOW_NS, Complaints
from penstock.dataplane.orders import Notice


def test_each_route_is_told_of_once_in_a_window():
    """The first failure of a route is told; the next window's tells how many were not."""
    told, reactor = [], SimpleNamespace(now=5)
    complaints = Complaints("request failed", reactor, told.append)
    for _ in range(3):
        complaints.say("a", "it is gone")
    complaints.say("b", "it is late", "info")
    reactor.now += WINDOW_NS
    complaints.say("a", "it is back and gone")
    assert told == [
        Notice("warning", "request failed", "route a: it is gone"),
        Notice("info", "request failed", "route b: it is late"),
        Notice("warning", "request failed", "route a: it is back and gone (2 more times since it was last told)"),
    ]


def test_routes_of_former_plans_are_forgotten():
    """Names that come and go with reloads do not pile up."""
    complaints = Complaints("request failed", SimpleNamespace(now=0), lambda notice: None)
    for number in range(ROUTES + 10):
        complaints.say(str(number), "gone")
    assert len(complaints._told) <= ROUTES
