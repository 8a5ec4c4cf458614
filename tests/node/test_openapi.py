"""The description of the admin door is true."""

import msgspec
import pytest
from starlette.testclient import TestClient

from penstock.metrics.live import number_of
from penstock.node.admin import make_app
from penstock.node.history import known
from penstock.node.openapi import describe


@pytest.fixture
def node(node):
    """A node with a connection."""
    node.pen.aim(node.pen.open(), 1, 1)
    node.pen.end(node.pen.open())
    node.tick()
    return node


def test_every_route_is_described_and_no_other(node):
    """Paths and methods of the description are those of the application."""
    routes = {
        route.path.replace(":path", ""): {method.lower() for method in route.methods} - {"head"}
        for route in make_app(node).routes
    }
    paths = {path: set(item) - {"parameters"} for path, item in describe("1")["paths"].items()}
    assert paths == routes


def test_every_reference_leads_somewhere():
    """Every schema that is named is there, and the whole is JSON."""
    document = describe("1.2.3")
    text = msgspec.json.encode(document).decode()
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names == set(document["components"]["schemas"])


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/api/v1/stats", "Stats"),
        ("/api/v1/connections", "Page"),
        (f"/api/v1/connections/{number_of(1, 1)}", "ConnectionView"),
        ("/api/v1/metrics", "MetricsView"),
        ("/api/v1/metrics/throughput?window=60s&scope=route:out", "WindowView"),
        ("/api/v1/metrics/history", "HistoryView"),
        ("/api/v1/metrics/export", "ExportView"),
        ("/api/v1/history", "RecordPage"),
        ("/api/v1/metrics/collection", "Collection"),
        ("/api/v1/audit", "AuditView"),
        ("/api/v1/drain", "DrainView"),
        ("/api/v1/listeners/web", "TableView"),
        ("/nothing", "Problem"),
    ],
)
def test_answers_are_as_described(node, path, schema):
    """What is sent has the described fields, each of the described type, down to the last one."""
    client = TestClient(make_app(node), base_url="http://127.0.0.1")
    schemas = client.get("/api/v1/openapi.json").json()["components"]["schemas"]
    check(client.get(path).json(), schemas[schema], schemas)


def test_every_filter_of_the_history_is_described():
    """The description knows the same query as the door."""
    described = describe("1")["paths"]["/api/v1/history"]["get"]["parameters"]
    assert {each["name"] for each in described} == set(known(0))


TYPES = {
    "boolean": bool,
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def check(value, schema, schemas):
    """Compare a value with its schema."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        schema = {"type": [inner["type"] for inner in schema["anyOf"]]}
    if "enum" in schema:
        assert value in schema["enum"]
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert isinstance(value, tuple(kind for name in kinds for kind in flat(TYPES[name]))), (value, schema)
    if "properties" in schema:
        assert set(value) == set(schema["properties"])
        for name, inner in schema["properties"].items():
            check(value[name], inner, schemas)
    if "additionalProperties" in schema:
        for inner in value.values():
            check(inner, schema["additionalProperties"], schemas)
    for item in value if isinstance(value, list) else ():
        check(item, schema["items"], schemas)


def flat(kinds):
    """Return a tuple of types."""
    return kinds if isinstance(kinds, tuple) else (kinds,)
