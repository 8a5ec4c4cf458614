"""What is read of a flood's log."""

import json

from bench.flooding import worst_second


def test_the_worst_second_of_a_log(tmp_path):
    """Lines are counted by the second of their own times, from where the flood began."""
    times = ["10:00:00.1", "10:00:00.9", "10:00:00.9", "10:00:01.0", "10:00:01.5"]
    lines = [json.dumps({"timestamp": f"2026-01-01T{time}Z"}) + "\n" for time in times]
    words = tmp_path / "words"
    words.write_text("".join(lines))
    assert worst_second(words, 0) == 3
    assert worst_second(words, sum(map(len, lines[:2]))) == 2
    assert worst_second(words, words.stat().st_size) == 0
