"""The admin door's token: read with care, quoted by no refusal."""

import pytest

from penstock.config.admin_token import read_token
from penstock.config.mistakes import Wrong


def test_a_token_is_read(tmp_path):
    """The token is what the file holds without the space around it."""
    (tmp_path / "token").write_bytes(b"abc.DEF-123_~+/==\n")
    assert read_token(tmp_path / "token") == "abc.DEF-123_~+/=="


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"), (b" \n", "the file is empty"), (b"hunter2 hunter2", "one token"),
        (b"hunter2\nhunter2", "one token"), (b"hunter2\xff", "one token"), (b"hunter2\x00", "one token"),
        (b"hunter2" * 1_000, "is longer than 4 KiB"),
    ],
)  # fmt: skip
def test_what_is_no_token(tmp_path, content, what):
    """A file without exactly one token is refused, and what it holds is not repeated."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(Wrong, match=what) as caught:
        read_token(tmp_path / "token")
    assert "hunter2" not in str(caught.value)


def test_a_token_file_that_is_none(tmp_path):
    """A missing file and a directory are refused as any other file is."""
    with pytest.raises(Wrong, match="no such file"):
        read_token(tmp_path / "none")
    with pytest.raises(Wrong, match="is a directory"):
        read_token(tmp_path)
