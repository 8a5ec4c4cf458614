"""When a certificate is got anew, and how long a failure is left alone."""

HOUR = 3_600

DAY = 24 * HOUR

BEFORE_END = 30 * DAY
"""Before its end a certificate is renewed; certbot and Caddy do the same with those of 90 days."""

SHARE = 3
"""Of a short life, so much is left when it is renewed: one third, as Let's Encrypt asks for."""

FIRST_PAUSE = 240.0
"""After the first failure; unit s. Doubled after each further one, and cut by chance to half at most: so in the worst
case five tries fall into an hour, which is what Let's Encrypt allows to fail for one name."""

LONGEST_PAUSE = 12.0 * HOUR
"""Where doubling ends. It leaves 60 tries and more between the day of renewal and the end."""

LONGEST_WISH = 7.0 * DAY
"""Longest pause that a server may ask for: its weekly limits are over by then."""


def due_at(not_before: int, not_after: int) -> int:
    """
    Return when a certificate is to be renewed; unit s since the epoch.

    Args:
        not_before, not_after: When it begins and ends; unit s since the epoch.
    """
    return not_after - min(BEFORE_END, max(0, not_after - not_before) // SHARE)


def pause(failures: int, wish: float, chance: float) -> float:
    """
    Return for how long to leave it alone after a failure; unit s.

    Args:
        failures: In a row, 1 or more.
        wish: How long the server wants to be left alone; unit s, 0 if it has said nothing.
        chance: From 0 to below 1, drawn anew each time: nodes that failed together do not come back together.
    """
    doubled = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 32), LONGEST_PAUSE)
    return max(doubled * (1.0 - chance / 2.0), min(wish, LONGEST_WISH))
