"""Files, environment and flags in, a plan or every mistake out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.config.load import load
from penstock.config.translate import table_of

HTTP = "[[listener]]\nlisten = ':8080'\nprotocol = 'http'\n"


@pytest.fixture
def file(tmp_path):
    """A configuration file that says who wrote it in every key of interest."""
    path = tmp_path / "penstock.toml"
    path.write_text(f"[node]\nname = 'file'\nworkers = 1\n[log]\nlevel = 'debug'\n{HTTP}")
    return str(path)


def test_precedence(file):
    """A flag wins over the environment, the environment over the file, the file over the default."""
    environ = {"PENSTOCK__NODE__NAME": "environment", "PENSTOCK__NODE__WORKERS": "2"}
    plan = load(file, flags={"--name": "flag", "--admin": None}, environ=environ)
    assert (plan.name, plan.workers, plan.log_level, plan.log_format) == ("flag", 2, "debug", "console")
    assert load(file, environ=environ).name == "environment"
    assert load(file, environ={}).name == "file"


def test_the_process_environment_counts(file, monkeypatch):
    """Without an environment given, it is the process's own."""
    monkeypatch.setenv("PENSTOCK__NODE__NAME", "own")
    monkeypatch.setenv("PENSTOCK_CONFIG", file)
    assert load().name == "own"


def test_drop_ins_add_listeners(tmp_path):
    """Listeners of /etc and of its conf.d serve together; what a later file sets wins."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "penstock.toml").write_text(f"[node]\nname = 'main'\nworkers = 1\n{HTTP}")
    (tmp_path / "conf.d" / "b.toml").write_text("[node]\nworkers = 3\n" + HTTP.replace("8080", "8081"))
    plan = load(environ={}, cwd=tmp_path / "none", etc=tmp_path)
    assert (plan.name, plan.workers) == ("main", 3)
    assert [each.name for each in plan.worker.listeners] == ["http-8080", "http-8081"]


def test_mistakes_in_drop_ins_name_their_file(tmp_path):
    """A mistake is placed in the file and on the line where it was made; files that are no TOML come all at once."""
    drop_ins = tmp_path / "conf.d"
    drop_ins.mkdir()
    (drop_ins / "a.toml").write_text(HTTP)
    (drop_ins / "b.toml").write_text("\n" + HTTP)
    with pytest.raises(ConfigurationError) as caught:
        load(environ={}, cwd=tmp_path / "none", etc=tmp_path)
    what = "listener[1].listen: ':8080': listener 1 takes [::]:8080 already"
    assert caught.value.mistakes == [f"{drop_ins}/b.toml:3: {what}"]
    for name in ("a.toml", "b.toml"):
        (drop_ins / name).write_text("x")
    with pytest.raises(ConfigurationError) as caught:
        load(environ={}, cwd=tmp_path / "none", etc=tmp_path)
    assert len(caught.value.mistakes) == 2


def test_the_sample_is_right():
    """The sample of the documentation is a right configuration that uses every protocol."""
    plan = load(str(Path(__file__).parents[2] / "docs/examples/penstock.toml"), environ={})
    assert {each.protocol for each in plan.worker.listeners} == {"tcp", "http", "socks5", "auto"}
    assert {each.route.name for each in plan.worker.listeners} == {"default", "app"}


KEYS = [key for section in ("node", "admin", "limits", "timeouts") for key in table_of((section,)).model_fields]
VALUES = st.one_of(
    st.sampled_from(["':80'", "'127.0.0.1:9190'", "'a:1'", "['a:1', {address = 'b:2'}]", "'tcp'", "'auto'", "'off'"]),
    st.sampled_from(["{}", "[]", "[1]", "{a = 'b'}", "5", "-1", "1.5", "nan", "true", "1979-05-27", "''", "'30s'"]),
    st.text(max_size=10).map(lambda text: "'" + text.replace("'", "").replace("\n", "") + "'"),
)
NAMES = [
    "name",
    "listen",
    "protocol",
    "targets",
    "users",
    "auth",
    "detect",
    "listeners",
    "action",
    "zzz",
    "certificates",
]
HEADERS = ["[[listener]]", "[[route]]", "[node]", "[admin]", "[timeouts]", "[manager]", "[listener.users]", "[[node]]"]
LINES = st.one_of(
    st.sampled_from(HEADERS), st.tuples(st.sampled_from(NAMES + KEYS), VALUES).map(" = ".join), st.text(max_size=10)
)


@given(lines=st.lists(LINES, max_size=12), content=st.binary(max_size=60), as_lines=st.booleans())
def test_any_file_is_a_plan_or_mistakes(tmp_path_factory, lines, content, as_lines):
    """Any bytes as a file are a plan, or mistakes of one printable line each; no other exception escapes."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes("\n".join(lines).encode() if as_lines else content)
    expect_plan_or_mistakes(lambda: load(str(path), environ={}))


@given(
    st.dictionaries(
        st.sampled_from(
            ["PENSTOCK__NODE__WORKERS", "PENSTOCK__ADMIN__LISTEN", "PENSTOCK__TIMEOUTS__IDLE", "PENSTOCK__Ä__B"]
        ),
        st.text(max_size=20) | st.just("\udc80"),
    )
)
def test_any_environment_is_a_plan_or_mistakes(tmp_path_factory, environ):
    """Any text in the environment is a plan or mistakes; a variable that is no UTF-8 is none of the exceptions."""
    path = tmp_path_factory.getbasetemp() / "right.toml"
    path.write_text(HTTP)
    expect_plan_or_mistakes(lambda: load(str(path), environ=environ))


def expect_plan_or_mistakes(act):
    """Expect a plan, or mistakes as they should be told."""
    try:
        mistakes = [act().name]
    except ConfigurationError as error:
        mistakes = error.mistakes
    assert mistakes
    assert all(line.isprintable() and len(line) < 2_000 for line in mistakes)
