"""What processes use."""

import os
import subprocess
import sys
import time

from penstock.node.usage import UsageMeter, read_process


def test_this_process_is_read():
    """Numbers of this very process are those that the system gives by other ways."""
    meter = UsageMeter()
    before = meter.read(()).open_fds
    pipes = [os.pipe() for _ in range(3)]
    usage = meter.read(())
    assert usage.open_fds == before + 6
    for end in (end for pipe in pipes for end in pipe):
        os.close(end)
    assert 10**6 < usage.resident_bytes < usage.virtual_bytes
    assert abs(usage.cpu_seconds - sum(os.times()[:4])) < 1
    assert time.time() - 86_400 < usage.started_at <= time.time()
    assert usage.max_fds > 0


def test_workers_are_added():
    """A worker's memory and descriptors come on top, and a process is counted once."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as worker:
        meter = UsageMeter()
        alone, both = meter.read((os.getpid(),)), meter.read((worker.pid, worker.pid))
        worker.communicate(b"\n")
    assert both.resident_bytes > alone.resident_bytes
    assert both.open_fds >= alone.open_fds + 3


def test_cpu_time_never_goes_back():
    """When a worker has died its CPU time stays counted, and the processes that are gone are no error."""
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    meter = UsageMeter()
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        worker.stdout.readline()
        alive = meter.read((worker.pid,)).cpu_seconds
        worker.stdin.write(b"\n")
        worker.stdin.close()
        worker.wait(timeout=30)
    dead = meter.read((worker.pid,)).cpu_seconds
    assert alive >= 0.2
    assert dead >= alive


def write_process(folder, name="x", ticks=0):
    """Write what /proc shows of a process."""
    (folder / "fd").mkdir(parents=True)
    numbers = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, ticks, *range(15, 53)]
    (folder / "stat").write_text(f"7 ({name}) S " + " ".join(str(number) for number in numbers))
    (folder / "statm").write_text("20 10 1 1 0 1 0")
    (folder / "limits").write_text(
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            77        unlimited        files\n"
    )


def test_a_worker_that_is_not_yet_waited_for_takes_nothing_back(tmp_path):
    """Between a worker's death and its burial its time is in no list; the total stands still meanwhile."""
    write_process(tmp_path / "77", ticks=1_000_000)
    meter = UsageMeter(tmp_path)
    before = meter.read((77,)).cpu_seconds
    assert before >= 10_000
    (tmp_path / "77" / "stat").unlink()
    assert meter.read((77,)).cpu_seconds == before


def test_names_with_spaces_and_brackets_are_read(tmp_path):
    """A program may be called `a) b (c`: fields are counted behind its name."""
    write_process(tmp_path / "7", "a) b (c", ticks=14)
    process = read_process(tmp_path / "7")
    assert process.cpu_seconds == (14 + 15) / os.sysconf("SC_CLK_TCK")
    assert process.virtual_bytes == 2 * process.resident_bytes == 20 * os.sysconf("SC_PAGE_SIZE")
    assert process.max_fds == 77


def test_what_is_gone_or_unreadable_is_left_out(tmp_path):
    """A missing process, an empty one and one of nonsense are no process."""
    (tmp_path / "stat").write_text("")
    assert read_process(tmp_path) is None
    (tmp_path / "stat").write_text("1 (x) S a b c")
    assert read_process(tmp_path) is None
    assert read_process(tmp_path / "nobody") is None
