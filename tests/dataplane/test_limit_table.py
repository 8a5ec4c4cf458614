"""The limit table: what all workers count together."""

from penstock.dataplane.limit_table import GLOBAL, SIZE, LimitTable, create


def test_holders_see_the_same_words():
    """What one holder writes, another one of the same table reads."""
    import os

    fd = create()
    one, other = LimitTable(fd, 0), LimitTable(fd, 1)
    one.words[GLOBAL] = 7
    assert other.words[GLOBAL] == 7
    assert os.fstat(fd).st_size == SIZE
    one.close()
    other.close()
    os.close(fd)
