"""Files: where they are looked for, and what is said about one that is no configuration."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.config.files import DROP_INS, FILE_BYTES, find, read


def told(path) -> str:
    """Return the one mistake that reading a file tells."""
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    (line,) = caught.value.mistakes
    return line.removeprefix(str(path))


def test_a_file_is_read(tmp_path):
    """A file gives its tree, its folder and its lines; a byte order mark is no part of it."""
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf[node]\nname = 'x'\n")
    file = read(path)
    assert file.tree == {"node": {"name": "x"}}
    assert file.folder == tmp_path
    assert file.place(("node", "name"), {}) == (2, f"{path}:2: node.name")


def test_what_is_no_file(tmp_path):
    """A missing file, a directory and a pipe are one clear line each, and nobody waits for the pipe's writer."""
    os.mkfifo(tmp_path / "pipe")
    assert told(tmp_path / "none.toml") == ": no such file"
    assert told(tmp_path) == ": is a directory"
    assert told(tmp_path / "pipe") == ": is no regular file"


def test_an_unreadable_file(tmp_path, monkeypatch):
    """A file that may not be read is one clear line."""
    monkeypatch.setattr(os, "open", refuse)
    assert told(tmp_path / "a.toml") == ": permission denied"


def refuse(*_args):
    """Refuse as the kernel does; tests may run as root, who may read everything."""
    raise PermissionError(13, "Permission denied")


def test_a_path_that_is_none():
    """A path with a zero in it is one clear line, with the zero escaped."""
    with pytest.raises(ConfigurationError) as caught:
        read("a\0b")
    assert caught.value.mistakes == [r"a\x00b: is no path"]


def test_a_file_of_100_megabytes(tmp_path):
    """A file far too long is refused unread, with its size."""
    path = tmp_path / "big.toml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    assert told(path) == ": is longer than 1024 KiB (100,000,000 bytes)"
    assert FILE_BYTES == 1024 * 1024


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb = '\xff'\n", ":2: not UTF-8: a byte 0xff"),
        (b"a = 1\nb\n", ":2: not TOML: Expected '=' after a key in a key/value pair, at column 2"),
        (b"[node\n", ":1: not TOML: Expected ']' at the end of a table declaration, at column 6"),
        (b"a = 1\na = 2", ":2: not TOML: Cannot overwrite a value, at the end of the file"),
        (b"a = " + b"[" * 100_000, ": lists or tables stand too deep in each other"),
        (b"a = " + b"9" * 100_000, ": holds a number that is far too long"),
        (b"x = 1\n" + b".".join([b"a"] * 500_000) + b" = 1", ":2: a key has more than 128 parts"),
        (b"[" + b'"a\\"".' * 100_000 + b"x]", ":1: a key has more than 128 parts"),
    ],
)
def test_what_is_no_toml(tmp_path, content, line):
    """What cannot be parsed is one line with its place, and time and memory do not grow by the square of its length."""
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    assert told(path) == line


@given(content=st.binary(max_size=200) | st.text(alphabet="[]{}=\"'.,a1#\n \\u", max_size=60).map(str.encode))
def test_any_bytes_are_a_tree_or_a_mistake(tmp_path_factory, content):
    """Any bytes in a file are TOML or one mistake; nothing else escapes."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        read(path)
        mistakes = ["none"]
    except ConfigurationError as error:
        mistakes = error.mistakes
    assert [line.isprintable() for line in mistakes] == [True]


@pytest.fixture
def places(tmp_path):
    """A working directory, a home and an /etc/penstock, each with a configuration file."""
    for name in ("cwd/penstock.toml", "home/.config/penstock/penstock.toml", "etc/penstock.toml", "asked.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def found(places, config=None, **environ):
    """Return the names of what is found, below `places`."""
    environ = {"HOME": str(places / "home")} | environ
    return [str(path.relative_to(places)) for path in find(config, environ, places / "cwd", places / "etc")]


def test_the_first_place_counts(places):
    """--config, $PENSTOCK_CONFIG, working directory, XDG and /etc, in this order; an earlier one hides the later."""
    asked = str(places / "asked.toml")
    assert found(places, asked, PENSTOCK_CONFIG="/other") == ["asked.toml"]
    assert found(places, PENSTOCK_CONFIG=asked) == ["asked.toml"]
    assert found(places) == ["cwd/penstock.toml"]
    (places / "cwd/penstock.toml").unlink()
    assert found(places) == ["home/.config/penstock/penstock.toml"]
    assert found(places, XDG_CONFIG_HOME=str(places / "nowhere")) == ["etc/penstock.toml"]
    (places / "home/.config/penstock/penstock.toml").unlink()
    assert found(places) == ["etc/penstock.toml"]


def test_drop_ins(places):
    """In /etc, conf.d follows in the order of names; hidden files and other suffixes are left alone."""
    (places / "etc/conf.d").mkdir()
    for name in ("20-b.toml", "10-a.toml", ".hidden.toml", "c.toml.bak"):
        (places / "etc/conf.d" / name).touch()
    nowhere = places / "nowhere"
    drop_ins = [places / "etc/conf.d/10-a.toml", places / "etc/conf.d/20-b.toml"]
    assert find(None, {}, nowhere, places / "etc") == [places / "etc/penstock.toml", *drop_ins]
    (places / "etc/penstock.toml").unlink()
    assert find(None, {}, nowhere, places / "etc") == drop_ins


def test_too_many_drop_ins(places):
    """A conf.d with more files than a sane one has is refused."""
    (places / "etc/conf.d").mkdir()
    for number in range(DROP_INS + 1):
        (places / f"etc/conf.d/{number}.toml").touch()
    with pytest.raises(ConfigurationError, match="at most 256 are read"):
        find(None, {}, places / "nowhere", places / "etc")


def test_nothing_is_found(tmp_path):
    """Without any file, the mistake says where one was looked for."""
    with pytest.raises(ConfigurationError) as caught:
        find(None, {"XDG_CONFIG_HOME": "/xdg"}, tmp_path, tmp_path)
    (line,) = caught.value.mistakes
    looked = f"penstock.toml, /xdg/penstock/penstock.toml, {tmp_path}/penstock.toml"
    assert line == f"no configuration file: looked for {looked}; give one with --config FILE"


def test_an_empty_config_flag(tmp_path):
    """An empty --config is a mistake, and no reason to look elsewhere."""
    with pytest.raises(ConfigurationError, match="--config: ''"):
        find("", {"PENSTOCK_CONFIG": "x"}, tmp_path, tmp_path)
