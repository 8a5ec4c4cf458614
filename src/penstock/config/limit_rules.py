"""Limits that could never apply: whoever writes one believes in something that does not hold."""

from collections.abc import Iterator

from penstock.config.limits import Limit, Limits, QuotaLimit
from penstock.config.mistakes import Assign, Key, Mistake
from penstock.config.model import Config
from penstock.config.table import known
from penstock.config.units import serialize_bandwidth

_OF_QUOTAS = ("quota_reset_day", "quota_action", "quota_throttle")


def limit_mistakes(config: Config) -> Iterator[Mistake]:
    """
    Yield limits that others keep from ever being reached, and keys of quotas that there are not.

    Args:
        config: May have holes where mistakes were found: what depends on them is not judged.
    """
    limits = config.limits
    if known(limits.connections):
        for name in ("connections_per_ip", "connections_per_user"):
            if name in limits.model_fields_set:
                yield from _beyond(("limits", name), getattr(limits, name), limits.connections)
    yield from _quota(("limits",), limits, limits.quota_per_user, limits.bandwidth_per_user)
    for key, each in _tables(config):
        yield from _one(key, each, limits)
        if isinstance(each, QuotaLimit):
            yield from _quota(key, each, each.quota, each.bandwidth)


def _tables(config: Config) -> Iterator[tuple[Key, Limit]]:
    for section in ("listener", "route"):
        holders = getattr(config, section)
        for place, each in enumerate(holders if known(holders) else ()):
            if known(each) and known(each.limits) and each.limits is not None:
                yield (section, place, "limits"), each.limits
    for place, user in enumerate(config.limits.users if known(config.limits.users) else ()):
        if known(user):
            yield ("limits", "users", place), user


def _one(key: Key, each: Limit, limits: Limits) -> Iterator[Mistake]:
    if known(limits.connections):
        yield from _beyond((*key, "connections"), each.connections, limits.connections)
    single, together = each.bandwidth_per_connection, each.bandwidth
    if known(single, together) and single and together and single[0] > together[0]:
        said = serialize_bandwidth(together[0])
        what = f"is never reached: all connections together have {said}"
        yield Mistake((*key, "bandwidth_per_connection"), what, f'"{said}"')


def _beyond(key: Key, wanted: int | str, connections: int) -> Iterator[Mistake]:
    if known(wanted) and isinstance(wanted, int) and wanted > connections:
        what = f"is never reached: the whole node takes {connections} connections"
        yield Mistake(key, what, str(connections))


def _quota(
    key: Key, each: Limits | QuotaLimit, quota: int | None, bandwidth: tuple[int, int] | None
) -> Iterator[Mistake]:
    if not known(quota, bandwidth, each.quota_action, each.quota_throttle):
        return
    written = [name for name in _OF_QUOTAS if name in each.model_fields_set]
    if quota is None:
        yield from (Mistake((*key, name), "there is no quota that it could be about") for name in written)
    elif each.quota_action == "stop":
        if "quota_throttle" in written and each.quota_throttle is not None:
            yield Mistake((*key, "quota_throttle"), "nobody is throttled", Assign("quota_action", '"throttle"'))
    elif each.quota_throttle is None:
        yield Mistake((*key, "quota_throttle"), 'there is none to throttle to; "stop" would stop', '"64KiB/s"')
    elif bandwidth is not None and each.quota_throttle[0] >= bandwidth[0]:
        what = f"slows nobody down: the bandwidth is {serialize_bandwidth(bandwidth[0])} anyway"
        yield Mistake((*key, "quota_throttle"), what)
