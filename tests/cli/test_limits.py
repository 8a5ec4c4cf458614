"""`penstock limits`: what is limited stands in a table, as the node gave it."""

from penstock.cli.limits import listing

FOUND = {
    "limits": [
        {"scope": "node", "name": "", "connections": 9, "open": 2, "rate": None, "used": 0, "full": 0.0, "fullest": ""},
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
            "quota_left": 2_000,
            "full": 0.85,
            "fullest": "quota",
        },
        {
            "scope": "ip",
            "name": "192.0.2.7",
            "connections": None,
            "open": 0,
            "rate": "300/1m",
            "used": 12,
            "full": 1.04,
            "fullest": "rate",
        },
        {
            "scope": "user",
            "name": "*",
            "connections": 3,
            "open": 0,
            "rate": None,
            "used": 0,
            "quota": "1GiB",
            "quota_resets": "",
            "full": 0.0,
            "fullest": "",
        },
    ],
    "addresses": 1,
    "untracked": 0,
}


def test_each_limit_has_a_row():
    """What is not limited is a dash, and so is a name that there is not."""
    shown = listing(FOUND)
    cells = list(zip(*(list(column.cells) for column in shown.columns), strict=True))
    assert [[str(cell) for cell in row] for row in cells] == [
        ["node", "-", "2", "9", "-", "-", *["-"] * 7],
        [
            "user",
            "ada",
            "1",
            "-",
            "-",
            "-",
            "1MiB/s",
            "64KiB/s",
            "4.88 KiB",
            "100GiB",
            "1.95 KiB",
            "2026-12-01",
            "85% quota",
        ],
        ["ip", "192.0.2.7", "0", "-", "12", "300/1m", *["-"] * 6, "104% rate"],
        ["user", "*", "0", "3", "-", "-", *["-"] * 3, "1GiB", *["-"] * 3],
    ]
    assert [row.style for row in shown.rows] == ["", "yellow", "red", ""]
