"""A file replaced with care: at once or not at all."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, content: bytes, like: os.stat_result | None = None) -> None:
    """
    Replace a file: whoever opens it finds all of the old or all of the new one, after a crash too.

    Args:
        path: Where it lies, itself and not a link to it; it may be missing, its folder may not.
        content: What it shall hold.
        like: Whose owner and mode it gets; without it, it is for our eyes alone.

    Raises:
        OSError: If that cannot be done; the file is then as it was, unless only its folder would not be synced.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(fd, "wb") as file:
            if like is not None:
                own = os.fstat(fd)
                if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
                    os.fchown(fd, like.st_uid, like.st_gid)
                os.fchmod(fd, like.st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(fd)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
