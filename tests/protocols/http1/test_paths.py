"""One spelling of a path, for rules and for targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.paths import normalize, split_query, without_prefix


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
        (b"/a%2fb", "/a/b", b"/a%2fb"),
        (b"/a%5Cb", "/a/b", b"/a%5Cb"),
        (b"/a\\b", "/a/b", b"/a\\b"),
        (b"/%2fadmin", "/admin", b"/%2fadmin"),
        (b"/a/../b%2fc", "/b/c", b"/b%2Fc"),
        (b"/a%2fb/../c", "/c", b"/c"),
        (b"/a%20b;v=1", "/a%20b;v=1", b"/a%20b;v=1"),
        (b"/a%252fb", "/a%252fb", b"/a%252fb"),
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


@pytest.mark.parametrize(
    "path",
    [
        b"/a/..%2Fb", b"/a/..%2fb", b"/a/..%5cb", b"/a%2f../b", b"/a%5C..", b"/%2e%2e%2fetc", b"/a\\..\\b", b"/a/.%2F",
        b"/a/..;/b", b"/a/..;x=1/b", b"/a/.;", b"/a/%2e%2e;/b", b"/a%00b", b"/%00",
    ],
)  # fmt: skip
def test_paths_that_two_readers_would_read_in_two_ways(path):
    """Dots beside a slash in disguise or before parameters, and a zero byte: no rule could be sure of them."""
    with pytest.raises(BadRequest) as caught:
        normalize(path)
    assert caught.value.status == 400


@given(st.text(alphabet="/.%2eEfF41ab5cC;\\", max_size=30).map(lambda text: b"/" + text.encode()))
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


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        (b"/api/x", b"/x"),
        (b"/api", b""),
        (b"/%61pi/x", b"/x"),
        (b"//api/x", b"/x"),
        (b"/api//x%2fy", b"//x%2fy"),
        (b"/%2fapi/x", b"/x"),
        (b"/api%2Fx", b"/x"),
        (b"/api\\x", b"/x"),
        (b"/apix", None),
        (b"/ap%69x", None),
        (b"/", None),
        (b"/b/api", None),
    ],
)
def test_prefixes_are_found_in_any_spelling(path, rest):
    """What rules see as below a prefix loses it, however it is spelled; what remains is as it came."""
    assert without_prefix(path, b"/api") == rest


def test_prefixes_of_several_segments():
    """Each segment counts."""
    assert without_prefix(b"//a/%62//c", b"/a/b") == b"//c"
    assert without_prefix(b"/a", b"/a/b") is None
    assert without_prefix(b"/a/bc", b"/a/b") is None


@given(st.text(alphabet="/%2eEfF61aApi5c\\", max_size=20).map(lambda text: b"/" + text.encode()))
def test_rules_and_prefixes_agree(path):
    """A path loses a prefix exactly if rules see it below the prefix, and the rest is what they see behind it."""
    try:
        seen, _ = normalize(path)
    except BadRequest:
        return
    rest = without_prefix(path, b"/api")
    assert (rest is not None) == (seen == "/api" or seen.startswith("/api/"))
    assert rest is None or normalize(rest or b"/")[0] == (seen[4:] or "/")
