"""Limits of users whom nobody knows yet: told, and no mistake where a users file may name them tomorrow."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from penstock.config.model import Config
from penstock.config.table import known
from penstock.config.translate import near
from penstock.config.written import Written

TOLD = 10
"""Users that are named; of the others the number."""

GUESSED = 1_000
"""Names among which the one that was meant is looked for: ten microseconds each."""


def strangers(config: Config, files: Mapping[Path, Collection[str]], written: Written) -> Iterator[str]:
    """
    Yield a line for each user that has limits of its own and stands nowhere.

    Args:
        config: May have holes.
        files: Users of each users file; without any, who stands nowhere is a mistake (`rules`).
        written: Who wrote each key.
    """
    holders = [*(config.listener if known(config.listener) else ()), *(config.route if known(config.route) else ())]
    if not files or not known(config.limits) or not known(config.limits.users):
        return
    names = {name for each in holders if known(each) and known(each.users) for name in each.users}
    logins = (each.auth for each in config.listener if known(each) and known(each.auth) and each.auth is not None)
    names |= {login.get_secret_value().partition(":")[0] for login in logins}
    names.update(*files.values())
    found = [
        (place, each.name)
        for place, each in enumerate(config.limits.users)
        if known(each) and known(each.name) and each.name not in names
    ]
    where = " or ".join(str(path) for path in sorted(files)[:3])
    for place, name in found[:TOLD]:
        match = near(name, names) if len(names) <= GUESSED else ""
        meant = f"; perhaps {match!r} is meant" if match else ""
        key = written.place(("limits", "users", place, "name"))[2]
        yield f"{key}: no user is called {name!r} yet, neither here nor in {where}{meant}"
    if len(found) > TOLD:
        yield f"{written.place(('limits', 'users'))[2]}: {len(found) - TOLD} more users stand nowhere yet"
