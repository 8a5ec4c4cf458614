"""Which form a scraper gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.exporters.negotiation import choose_format, parse, preferred, takes_gzip
from penstock.metrics.exporters.prometheus import Format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", Format.TEXT),
        ("text/plain;q=0.1, application/openmetrics-text; version=1.0.0 ;q=0.9", Format.OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", Format.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', Format.OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0;q=1, text/plain;q=0.1", Format.TEXT),
        ("application/openmetrics-text;q=0, */*;q=0.1", Format.TEXT),
        ("text/plain;q=0, */*", Format.OPENMETRICS),
        ("text/*;q=0.2, application/*;q=0.3", Format.OPENMETRICS),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format.TEXT),
        ("application/json", Format.TEXT),
        ("text/plain, application/openmetrics-text", Format.TEXT),
    ],
)
def test_the_preferred_form_is_chosen(accept, form):
    """The highest q wins, the most specific range speaks for a form, a tie and anything else get text."""
    assert choose_format(accept) is form


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("deflate;q=1, GZIP;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
    ],
)
def test_gzip_is_sent_only_to_those_who_take_it(header, takes):
    """A body is gzipped where gzip or everything is accepted with a q above zero."""
    assert takes_gzip(header) is takes


@given(st.text())
def test_any_header_is_answered(header):
    """Whatever a header holds, a form is chosen, and every quality that was read is from 0 to 1."""
    assert isinstance(choose_format(header), Format)
    assert isinstance(takes_gzip(header), bool)
    assert all(0 <= each.quality <= 1 for each in parse(header))


def test_qualities_that_are_none_do_not_count():
    """A range whose q is no number from 0 to 1 is left out."""
    assert parse("a;q=nan, b;q=2, c;q=-1, d;q=x, e;q=0.5, ;q=1") == [("e", {}, 0.5)]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "a/x"),
        ("*/*", "a/x"),
        ("b/y", "b/y"),
        ("a/x;q=0.2, b/*;q=0.3", "b/y"),
        ("c/z", "a/x"),
        ("nonsense;;;q=7,,", "a/x"),
    ],
)
def test_the_preferred_of_some_media_types(accept, media):
    """The best liked type is chosen, the first one where there is no best."""
    assert preferred(accept, ["a/x", "b/y"]) == media
