"""One spelling of a path, for rules and for targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.paths import normalize, split_query


@pytest.mark.parametrize(
    ("came", "seen", "forwarded"),
    [
        (b"/a/b", "/a/b", b"/a/b"),
        (b"/a/../b", "/b", b"/b"),
        (b"/a/%2e%2e/b", "/b", b"/b"),
        (b"/a/.%2E/%62", "/b", b"/b"),
        (b"/../../etc", "/etc", b"/etc"),
        (b"/a/.", "/a/", b"/a/"),
        (b"/a/b/..", "/a/", b"/a/"),
        (b"//admin", "/admin", b"//admin"),
        (b"/%61dmin", "/admin", b"/%61dmin"),
        (b"/a%2fb", "/a%2Fb", b"/a%2fb"),
        (b"/.hidden", "/.hidden", b"/.hidden"),
        (b"/...", "/...", b"/..."),
        (b"/", "/", b"/"),
    ],
)
def test_spellings(came, seen, forwarded):
    """Rules see one spelling; targets get what came, unless dots led elsewhere."""
    assert normalize(came) == (seen, forwarded)


@pytest.mark.parametrize("path", [b"/%", b"/%4", b"/%zz/..", b"/a%2"])
def test_percent_signs_that_stand_for_nothing(path):
    """They are refused, as two readers would differ about them."""
    with pytest.raises(BadRequest):
        normalize(path)


@given(st.text(alphabet="/.%2eEfF41ab", max_size=30).map(lambda text: b"/" + text.encode()))
def test_what_is_forwarded_is_what_rules_saw(path):
    """A second look changes nothing, no dot segment is left to a target, and both spellings mean the same."""
    try:
        seen, forwarded = normalize(path)
    except BadRequest:
        return
    assert normalize(seen.encode("latin-1"))[0] == seen
    assert normalize(forwarded)[0] == seen
    assert not {"..", "."} & set(seen.split("/"))


def test_query():
    """The query begins with the first question mark."""
    assert split_query(b"/a?b?c") == (b"/a", b"?b?c")
    assert split_query(b"/a") == (b"/a", b"")
