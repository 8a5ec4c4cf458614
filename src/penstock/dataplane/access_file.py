"""
Where lines of the access log go: gathered, and written many at once.

Workers write one file side by side: each write is whole lines, appended at once (O_APPEND of open(2)). A pipe takes no
more than PIPE_BUF bytes undivided (pipe(7)), and is never waited for: what it does not take is dropped and counted.
"""

import os
import stat

BUFFER_BYTES = 65_536
"""Lines that are gathered; nginx's usual buffer. A second passes at most until they are written."""

PIPE_BYTES = 4_096
"""PIPE_BUF of Linux."""

MODE = 0o640
"""Of a new file, as Debian has it for logs: paths and queries may hold secrets."""

STANDARD_OUTPUT = "-"

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class AccessFile:
    """
    The file of one worker's lines.

    Args:
        path: Of a file, a pipe or a terminal; `-` for standard output.

    Attributes:
        dropped: Lines that did not go out since `take_dropped`.
        why: What kept the last of them.
    """

    def __init__(self, path: str) -> None:
        self.path, self.dropped, self.why = path, 0, ""
        self._lines: list[bytes] = []
        self._size, self._fd = 0, -1
        self._divided = self._torn = False
        self._open()

    def add(self, line: bytes) -> None:
        """Gather a line, and write when there are many."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        lines = self._lines
        if not lines:
            return
        self._lines, self._size = [], 0
        if self._fd < 0:
            self._open()
        if self._fd < 0:
            self.dropped += len(lines)
        elif self._divided:
            for piece in self._pieces(lines):
                self._write(piece)
        else:
            self._write(lines)

    def _pieces(self, lines: list[bytes]) -> list[list[bytes]]:
        """Return the lines in pieces that a pipe takes whole or not at all."""
        pieces: list[list[bytes]] = []
        room = 0
        for line in lines:
            if len(line) > PIPE_BYTES:
                self.dropped, self.why = self.dropped + 1, "longer than a pipe takes undivided"
                continue
            if len(line) > room:
                pieces.append([])
                room = PIPE_BYTES
            pieces[-1].append(line)
            room -= len(line)
        return pieces

    def _write(self, lines: list[bytes]) -> None:
        """Append these lines at once; what does not go out is dropped."""
        data = b"".join(lines)
        if self._torn:
            data = b"\n" + data
        try:
            count = os.write(self._fd, data)
        except OSError as error:
            self.dropped, self.why = self.dropped + len(lines), error.strerror or "cannot be written"
            return
        self._torn = False
        if count < len(data):  # the disk is full: the line that is torn ends where the next ones begin
            self._torn = not data[:count].endswith(b"\n")
            self.dropped, self.why = self.dropped + data.count(b"\n", count), "No space left on device"

    def take_dropped(self) -> int:
        """Return how many lines were dropped since this was last asked."""
        dropped, self.dropped = self.dropped, 0
        return dropped

    def reopen(self) -> None:
        """Write what was gathered to the file that was open, and go on in the one that has its name now."""
        self.flush()
        self.close()
        self._open()

    def close(self) -> None:
        """Write what was gathered, and close."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _open(self) -> None:
        try:
            self._fd = open_log(self.path)
        except OSError as error:
            self.why = error.strerror or "cannot be opened"
            return
        self._divided, self._torn = not stat.S_ISREG(os.fstat(self._fd).st_mode), False


def open_log(path: str) -> int:
    """
    Return the descriptor of a log, to be appended to without waiting.

    Standard output is opened anew: it may be shared with others, who do not expect that it does not wait.

    Raises:
        OSError: If it cannot be opened.
    """
    return os.open("/proc/self/fd/1" if path == STANDARD_OUTPUT else path, _FLAGS, MODE)
