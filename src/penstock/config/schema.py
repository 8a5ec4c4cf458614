"""The JSON Schema of penstock.toml, for editors and for whoever writes configurations by program."""

from typing import Any

from penstock.config.model import Config

PARENT = "^(socks5|https?)://.+:[0-9]{1,5}$"
"""A parent as text."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema: what `json.dumps` takes, with the keys in the order of the model."""
    schema = Config.model_json_schema()
    tables = schema.pop("$defs")
    for table in (schema, *tables.values()):
        table.pop("title", None)
        for name, value in table["properties"].items():
            table["properties"][name] = _without_null(value)
    for holder in (tables["Listener"], tables["Route"]):
        items = holder["properties"]["targets"]
        items["items"] = {"anyOf": [tables["Target"]["properties"]["address"], items["items"]]}
    files = tables["Listener"]["properties"]["certificates"]
    files["items"] = {"anyOf": [tables["Certificate"]["properties"]["cert"], files["items"]]}
    parent = tables["Route"]["properties"]["parent"]
    parent["anyOf"] = [{"type": "string", "pattern": PARENT}, {"$ref": parent.pop("$ref")}]
    return {"$schema": DIALECT, "title": "penstock.toml", **schema, "$defs": tables}


def _without_null(value: dict[str, Any]) -> dict[str, Any]:
    """Return a property without its title and without null, which TOML cannot write."""
    value.pop("title", None)
    if "$ref" in value:
        value.pop("default", None)  # it stands beside each key of the table
    if value.get("default", ...) is None:
        del value["default"]
    choices = [each for each in value.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        del value["anyOf"]
        value |= choices[0]
    elif choices:
        value["anyOf"] = choices
    return value
