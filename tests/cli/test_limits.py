"""`penstock limits`: what is limited stands in a table, as the node gave it."""

from penstock.cli.limits import listing

FOUND = {
    "limits": [
        {"scope": "node", "name": "", "connections": 9, "open": 2, "rate": None, "used": 0},
        {
            "scope": "user",
            "name": "ada",
            "connections": None,
            "open": 1,
            "rate": None,
            "used": 0,
            "bandwidth": "1MiB/s",
            "bandwidth_per_connection": "64KiB/s",
            "quota": "100GiB",
            "quota_used": 5_000,
            "quota_resets": "2026-12-01",
        },
        {"scope": "ip", "name": "192.0.2.7", "connections": None, "open": 0, "rate": "300/1m", "used": 12},
    ],
    "addresses": 1,
    "untracked": 0,
}


def test_each_limit_has_a_row():
    """What is not limited is a dash, and so is a name that there is not."""
    shown = listing(FOUND)
    cells = list(zip(*(list(column.cells) for column in shown.columns), strict=True))
    assert [[str(cell) for cell in row] for row in cells] == [
        ["node", "-", "2", "9", "-", "-", *["-"] * 5],
        ["user", "ada", "1", "-", "-", "-", "1MiB/s", "64KiB/s", "4.88 KiB", "100GiB", "2026-12-01"],
        ["ip", "192.0.2.7", "0", "-", "12", "300/1m", *["-"] * 5],
    ]
