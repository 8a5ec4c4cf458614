"""The JSON Schema, and the page that describes every key."""

import json
import re
from pathlib import Path

import pytest

from penstock.config.bans import FailedLogins, Floods, PortWalks, ProtocolAbuse, RefusedDestinations
from penstock.config.layers import FLAGS
from penstock.config.limits import Limit, QuotaLimit, UserLimit
from penstock.config.listener import Certificate, ListenerTls
from penstock.config.model import Config, Retention
from penstock.config.route import Match, Rewrite
from penstock.config.schema import json_schema
from penstock.config.translate import table_of
from penstock.config.way import HealthCheck, Parent, Passive, RouteTimeouts, Target, TargetTls

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()

TABLES = {
    "targets": Target,
    "retention": Retention,
    "failed_logins": FailedLogins,
    "refused_destinations": RefusedDestinations,
    "floods": Floods,
    "port_walks": PortWalks,
    "protocol_abuse": ProtocolAbuse,
    "certificates": Certificate,
    "tls": ListenerTls,
    "match": Match,
    "health_check": HealthCheck,
    "passive": Passive,
    "target_tls": TargetTls,
    "parent": Parent,
    "rewrite": Rewrite,
    "route.timeouts": RouteTimeouts,
    "limits.users": UserLimit,
    "listener.limits": Limit,
    "route.limits": QuotaLimit,
}

KEYS = [f"{section}.{key}" for section in Config.model_fields for key in table_of((section,)).model_fields]

NESTED = [f"{name}.{key}" for name, table in TABLES.items() for key in table.model_fields]
"""Keys of tables within tables."""


def test_the_schema_is_plain_json():
    """The schema is JSON without a null to write, without types' names, and closed to unknown keys."""
    text = json.dumps(json_schema())
    assert '"null"' not in text
    assert text.count('"title"') == 1
    schema = json.loads(text)
    assert {each["additionalProperties"] for each in (schema, *schema["$defs"].values())} == {False}


def test_the_schema_has_every_key():
    """Every key of the model stands in the schema with a description, and defaults as an operator would write them."""
    schema = json_schema()
    for dotted in KEYS:
        section, key = dotted.split(".")
        held = schema["$defs"][section.capitalize()]["properties"][key]
        assert held["description"].endswith(".")
    assert schema["$defs"]["Timeouts"]["properties"]["idle"]["default"] == "4h"
    assert schema["$defs"]["Admin"]["properties"]["listen"]["default"] == "127.0.0.1:9190"


def test_targets_may_be_text_in_the_schema():
    """A target is text or a table, for listeners and for routes; so are a certificate and a parent."""
    schema = json_schema()
    files = schema["$defs"]["Listener"]["properties"]["certificates"]["items"]["anyOf"]
    for text, table in (files, schema["$defs"]["Route"]["properties"]["parent"]["anyOf"]):
        assert (text["type"], "$ref" in table) == ("string", True)
    for holder in ("Listener", "Route"):
        text, table = schema["$defs"][holder]["properties"]["targets"]["items"]["anyOf"]
        assert text["type"] == "string"
        assert table == {"$ref": "#/$defs/Target"}


@pytest.mark.parametrize("key", [*KEYS, *NESTED])
def test_every_key_is_described(key):
    """Every key of the model has its row in docs/configuration.md."""
    assert f"\n| `{key}` |" in PAGE


def test_nothing_else_is_described():
    """The page describes no key that the model does not know."""
    described = set(re.findall(r"^\| `(\w+(?:\.\w+)+)` \|", PAGE, re.M))
    assert described == {*KEYS, *NESTED}


@pytest.mark.parametrize("key", [*KEYS, *NESTED])
def test_described_defaults_are_true(key):
    """A default that the page gives as a value is the model's own."""
    section, _, name = key.rpartition(".")
    default = (TABLES.get(section) or table_of((section,))).model_fields[name].default
    if isinstance(default, str | int) and default:
        assert re.search(rf"\| `{key}` \| `{re.escape(json.dumps(default))}`", PAGE)


def test_every_flag_is_described():
    """Each flag stands in the page beside its key."""
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| `([\w.]+)` \|", PAGE, re.M))
    assert rows == {flag: ".".join(key) for flag, key in FLAGS.items()}
