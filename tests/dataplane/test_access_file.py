"""Where lines go: whole, at once, without waiting, and counted where they cannot go."""

import os
import stat
import threading

from penstock.dataplane.access_file import BUFFER_BYTES, PIPE_BYTES, AccessFile


def test_lines_are_gathered(tmp_path):
    """Nothing is written until there is much, or until it is asked for; the file is nobody else's."""
    path = tmp_path / "log"
    file = AccessFile(str(path))
    file.add(b"one\n")
    assert path.read_bytes() == b""
    file.add(b"x" * BUFFER_BYTES + b"\n")
    assert path.read_bytes() == b"one\n" + b"x" * BUFFER_BYTES + b"\n"
    file.add(b"last\n")
    file.close()
    assert path.read_bytes().endswith(b"last\n")
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007


def test_a_renamed_file_loses_no_line(tmp_path):
    """What was gathered goes to the old file, what comes to the new one."""
    path, old = tmp_path / "log", tmp_path / "log.1"
    file = AccessFile(str(path))
    file.add(b"1\n")
    path.rename(old)
    file.add(b"2\n")
    file.reopen()
    file.add(b"3\n")
    file.close()
    assert (old.read_bytes(), path.read_bytes(), file.dropped) == (b"1\n2\n", b"3\n", 0)


def test_two_writers_do_not_mix(tmp_path):
    """Lines of two workers stand whole in the file that both append to."""
    path = tmp_path / "log"

    def write(letter: bytes) -> None:
        file = AccessFile(str(path))
        for _ in range(3_000):
            file.add(letter * 99 + b"\n")
        file.close()

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_bytes().splitlines()
    assert len(lines) == 6_000
    assert {bytes(line) for line in lines} == {b"a" * 99, b"b" * 99}


def test_a_pipe_is_not_waited_for(tmp_path):
    """What a pipe that nobody reads does not take is counted, and what it takes are whole lines."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = AccessFile(str(path))
    lines = 20_000
    for number in range(lines):
        file.add(b"%063d\n" % number)
    file.add(b"x" * PIPE_BYTES + b"\n")
    file.flush()
    got = b""
    while True:
        try:
            got += os.read(reader, 65_536)
        except BlockingIOError:
            break
    assert got.endswith(b"\n")
    assert {len(line) for line in got.splitlines()} == {63}
    assert got.count(b"\n") + file.take_dropped() == lines + 1
    assert file.take_dropped() == 0
    file.close()
    os.close(reader)


def test_a_pipe_without_a_reader_is_tried_again(tmp_path):
    """Lines are counted as lost until somebody reads."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    file = AccessFile(str(path))
    file.add(b"1\n")
    file.flush()
    assert (file.take_dropped(), file.why) == (1, "No such device or address")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file.add(b"2\n")
    file.close()
    assert os.read(reader, 100) == b"2\n"
    os.close(reader)


def test_a_full_disk_costs_lines_and_nothing_else():
    """Lines that do not fit are counted, with the reason."""
    file = AccessFile("/dev/full")
    file.add(b"1\n")
    file.add(b"2\n")
    file.close()
    assert (file.take_dropped(), file.why) == (2, "No space left on device")
