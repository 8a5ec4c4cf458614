"""The list of metric families."""

from penstock.metrics import catalog
from penstock.metrics.catalog import FAMILIES, LABELLED

BY_KEY = tuple(family for families in LABELLED.values() for family in families)


def test_names_follow_the_conventions():
    """Counters and only counters end in `_total`; names are unique, in the project's prefix or the standard's."""
    names = [family.name for family in FAMILIES + BY_KEY]
    assert len(set(names)) == len(names)
    assert all(family.name.endswith("_total") == (family.kind == "counter") for family in FAMILIES + BY_KEY)
    assert all(name.startswith(("penstock_", "process_")) for name in names)


def test_every_family_is_in_the_list():
    """A family that is defined is served, always or where `metrics.labels` asks for it."""
    defined = {name for name, value in vars(catalog).items() if isinstance(value, catalog.Family)}
    assert {getattr(catalog, name) for name in defined} == {*FAMILIES, *BY_KEY}


def test_no_label_holds_an_address_of_a_client():
    """Labels come from closed lists and from the configuration; clients, users and URLs make no series unasked."""
    known = {
        "listener", "route", "target", "direction", "window", "reason", "ended_by", "phase", "state", "version",
        "python", "dimension", "kind", "code", "result", "certificate", "source", "origin",
        "scope",
    }  # fmt: skip
    assert {label for family in FAMILIES for label in family.labels} <= known


def test_units_end_names():
    """A family's unit is told by its name; most of them only count."""
    units = {family.name: family.unit for family in FAMILIES if family.unit}
    assert units["penstock_bytes_total"] == units["penstock_audit_residual_bytes"] == "bytes"
    assert units["penstock_throughput_bytes_per_second"] == "bytes_per_second"
    assert units["process_cpu_seconds_total"] == units["penstock_dial_duration_seconds"] == "seconds"
    assert not {"penstock_workers", "penstock_connections_total", "penstock_build_info"} & set(units)


def test_names_are_all_that_it_is_called():
    """A family is known by its name with and without `_total`, and by the names of its samples."""
    assert catalog.BYTES.names == {"penstock_bytes_total", "penstock_bytes"}
    assert catalog.WORKERS.names == {"penstock_workers"}
    assert catalog.DIAL.names == {catalog.DIAL.name, *catalog.DIAL.parts}
    assert catalog.DIAL.parts == tuple(f"penstock_dial_duration_seconds_{part}" for part in ("bucket", "count", "sum"))


def test_help_is_one_sentence():
    """Every family says what it counts, without a full stop."""
    assert all(family.help and not family.help.endswith(".") for family in FAMILIES)


def test_families_of_a_kind_have_it_for_a_label():
    """Where a kind is asked for it has three families, users two of quotas; its keys are values of the last label."""
    for kind, families in LABELLED.items():
        quotas = [(kind,), (kind,)] if kind == "user" else []
        assert [family.labels for family in families] == [(kind,), (kind,), ("direction", kind), *quotas]
        assert all(family.name.startswith(f"penstock_{kind}_") for family in families)
