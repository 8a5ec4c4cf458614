"""What binds an ACME account: an id that is one, and a key that is read with care and quoted by no refusal."""

import pytest

from penstock.config.eab import KeyId, read_key
from penstock.config.mistakes import Wrong

SECRET = "hunter2-hunter2_hunter2-hunter2"


@pytest.mark.parametrize("text", [SECRET, f" {SECRET}\n", f"{SECRET}=\n"])
def test_a_key_is_read(tmp_path, text):
    """Without the space around it and without its padding."""
    (tmp_path / "key").write_text(text)
    assert read_key(tmp_path / "key") == SECRET


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"), (b"hunter2", "22 characters or more"), (b"hunter2+" * 5, "base64url"),
        (b"hunter2 " * 5, "base64url"), (b"hunter2\xff" * 5, "base64url"), (b"hunter2-h" * 5, "base64url"),
        (b"hunter2-" * 200, "is longer than 1 KiB"),
    ],
)  # fmt: skip
def test_what_is_no_key(tmp_path, content, what):
    """A file without exactly one key is refused, and what it holds is not repeated."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(Wrong, match=what) as caught:
        read_key(tmp_path / "key")
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_none(tmp_path):
    """A missing file is refused as any other one."""
    with pytest.raises(Wrong, match="no such file"):
        read_key(tmp_path / "none")


def test_ids():
    """Whatever can be seen, within bounds."""
    assert KeyId().parse("kid-1/a+b=") == "kid-1/a+b="
    for value in ("", "a b", "x" * 256, "\u00e9", 5, None):
        with pytest.raises(Wrong):
            KeyId().parse(value)
