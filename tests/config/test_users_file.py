"""The file of users: read with care, changed line by line, quoted by no message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import users_file
from penstock.config.mistakes import MISTAKES, Wrong
from penstock.config.users_file import parse, put, remove, serialize

HASH = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$TZCCCJQw6qE40QoszdZDx3LhW/RG6J0UYvSQtFYYSrQ"
OTHER = HASH.replace("MDAw", "MTEx", 1)


def _is_name(name):
    try:
        users_file.check_name(name)
    except Wrong:
        return False
    return True


NAMES = st.text(min_size=1, max_size=60).filter(_is_name)


def test_a_file_is_read():
    """Comments and empty lines are nobody; line ends of Windows are none of the hash."""
    content = f"# staff\n\nann:{HASH}\r\n  # more\nJörg Ä:{OTHER}\n"
    assert parse(content.encode()) == ({"ann": HASH, "Jörg Ä": OTHER}, ())


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"\xef\xbb\xbfann:" + HASH.encode(), "a byte order mark"),
        (b"ann", "no colon"), (b":" + HASH.encode(), "a user's name is 1 to 255 bytes"),
        (b"a" * 256 + b":" + HASH.encode(), "1 to 255 bytes"), (b"a\x07b:" + HASH.encode(), "control characters"),
        (b"a\xffb:" + HASH.encode(), "not UTF-8: a byte 0xff"), (b"ann:secret-word", "no hash of argon2id"),
        (b"ann:" + HASH.replace("argon2id", "argon2i").encode(), "no hash of argon2id"),
        (b"ann:" + HASH.replace("v=19", "v=16").encode(), "no hash of argon2id"),
        (b"ann:" + HASH.encode() + b" ", "no hash of argon2id"), (b"ann:" + HASH.encode()[:-30], "no hash of argon2id"),
        (b"ann:" + HASH.replace("m=19456", "m=99999999").encode(), "costs too much"),
        (b"ann:" + HASH.replace("m=19456", "m=7").encode(), "costs too much or is none"),
        (b"ann:" + HASH.replace("t=2", "t=65").encode(), "costs too much"),
        (b"ann:" + HASH.replace("p=1", "p=65").encode(), "costs too much"),
    ],
)  # fmt: skip
def test_wrong_lines(line, what):
    """A wrong line is told with its number, never quoted, and costs nobody else anything."""
    users = parse(b"# one\n" + line + b"\nbob:" + HASH.encode() + b"\n")
    ((number, told),) = users.wrong
    assert (number, list(users.hashes)) == (2, ["bob"])
    assert what in told
    assert "secret-word" not in told + repr(users)
    assert HASH[-20:] not in told + repr(users)


def test_who_stands_there_twice_is_nobody():
    """Of two hashes for one user neither counts, however many follow."""
    users = parse(f"ann:{HASH}\nbob:{HASH}\nann:{OTHER}\nann:{HASH}\n".encode())
    assert list(users.hashes) == ["bob"]
    assert users.wrong == ((3, "the user stands in line 1 already"), (4, "the user stands in line 1 already"))


def test_a_file_of_too_many_users(monkeypatch):
    """What is beyond the limit is not read, and that is said once."""
    monkeypatch.setattr(users_file, "USERS", 2)
    users = parse("".join(f"user{number}:{HASH}\n" for number in range(5)).encode())
    assert list(users.hashes) == ["user0", "user1"]
    assert users.wrong == ((3, "more than 2 users; the rest is not read"),)
    with pytest.raises(Wrong, match="at most 2 users"):
        put(f"a:{HASH}\nb:{HASH}\n".encode(), "c", HASH)


def test_a_file_of_too_many_lines(monkeypatch):
    """What is beyond the limit is not read, and that is said; a line end behind the last line is no line."""
    monkeypatch.setattr(users_file, "LINES", 3)
    assert list(parse(f"\n#\nann:{HASH}\n".encode()).hashes) == ["ann"]
    users = parse(f"\n\nann:{HASH}\nbob:{HASH}\ncarl:{HASH}\n".encode())
    assert (list(users.hashes), users.wrong) == (["ann"], ((4, "more than 3 lines; the rest is not read"),))
    assert parse(f"\n\nann:{HASH}\n".encode()).wrong == ()


def test_mistakes_are_bounded():
    """A file of nothing but mistakes is told in so many lines as a configuration is."""
    assert len(parse(b"x\n" * 1_000).wrong) == MISTAKES


@given(st.binary(max_size=300))
def test_any_bytes(content):
    """Any bytes give an answer, whose hashes are some."""
    for hashed in parse(content).hashes.values():
        users_file.check_hash(hashed)


@given(NAMES)
def test_what_is_written_is_read(name):
    """A line that was written is read as what was meant."""
    assert parse(serialize(name, HASH)) == ({name: HASH}, ())


@given(st.lists(NAMES, unique=True, max_size=8), NAMES, st.booleans())
def test_changes_touch_one_user(names, name, end):
    """A user comes, changes and goes, and all else stays as it was, comments and the order among them."""
    content = b"# head\n" + b"".join(serialize(each, HASH) for each in names) + b"\n# foot" + b"\n" * end
    after = put(content, name, OTHER)
    assert parse(after) == (dict.fromkeys(names, HASH) | {name: OTHER}, ())
    gone = remove(after, name)
    assert parse(gone).hashes == dict.fromkeys([each for each in names if each != name], HASH)
    assert gone.startswith(b"# head\n")
    assert b"# foot\n" in gone
    assert remove(gone, name) == gone


def test_a_replaced_user_keeps_the_place():
    """Another password stands where the first one stood, and a second line of the user goes."""
    content = f"ann:{HASH}\nbob:{HASH}\nann:{HASH}\n".encode()
    assert put(content, "ann", OTHER) == f"ann:{OTHER}\nbob:{HASH}\n".encode()


@pytest.mark.parametrize(("name", "hashed"), [("a:b", HASH), ("", HASH), ("#x", HASH), (" ", HASH), ("a\ud800", HASH),
                                              ("ann", "plain")])  # fmt: skip
def test_what_cannot_be_written(name, hashed):
    """What would be read as something else is not written."""
    with pytest.raises(Wrong):
        put(b"", name, hashed)
