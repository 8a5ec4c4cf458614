"""The admin door described in OpenAPI 3.1; the schemas are those of the values that are really sent."""

from typing import Any

import msgspec

from penstock.base.outcomes import Reason
from penstock.metrics.audit import AuditView
from penstock.metrics.certificates import CertificateView
from penstock.metrics.collection import ALL, PARTS, Collection
from penstock.metrics.exporters.listing import ExportView
from penstock.metrics.filters import WORDS
from penstock.metrics.live import ConnectionView
from penstock.metrics.searching import RecordView
from penstock.metrics.snapshot import (
    ListenerView,
    NodeView,
    OutcomeCount,
    RouteView,
    TargetView,
    Throughput,
    Totals,
    WorkersView,
)
from penstock.metrics.tracker import NODE
from penstock.metrics.view import HistoryView, MetricsView, WindowView
from penstock.node.bans.endpoints import Confirmation
from penstock.node.bans.views import BanView, ListView, WantedBan
from penstock.node.bans.why import WhyView
from penstock.node.limits import LimitsView
from penstock.node.queries import LONGEST_PAGE
from penstock.node.reload import DrainView, ReloadView
from penstock.node.tables import CHECK, TableView
from penstock.node.targets import WantedTarget
from penstock.node.upgrade import UpgradeView

_REF = "#/components/schemas/{name}"

Json = dict[str, Any]


def describe(version: str) -> Json:
    """
    Return the description.

    Args:
        version: Of Penstock.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "Penstock node", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _paths() -> Json:
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
    return {
        "/metrics": {"get": _operation("Metrics for Prometheus", _text(), 400) | {"parameters": [_names()]}},
        "/health": {"get": _operation("OK while the process answers", _text()) | {"security": []}},
        "/healthz": {"get": _operation("The same as JSON", _json({"type": "object"})) | {"security": []}},
        "/readyz": {"get": _operation("Whether new connections are served", _json({"type": "object"}), 503)},
        "/version": {"get": _operation("Which Penstock this is", _json({"type": "object"}))},
        "/api/v1/openapi.json": {"get": _operation("This description", _json({"type": "object"}))},
        "/api/v1/stats": {"get": _operation("Totals and throughput", _json(_ref("Stats")), 400)},
        "/api/v1/metrics": {
            "get": _operation("Connections, throughput, requests, totals", _json(_ref("MetricsView")), 400)
        },
        "/api/v1/metrics/throughput": {
            "get": _operation("One window of one scope", _json(_ref("WindowView")), 400, 404)
            | {"parameters": [_time("window", "10s"), _scope()]}
        },
        "/api/v1/metrics/history": {
            "get": _operation("A graph of one scope", _json(_ref("HistoryView")), 400, 404, 503)
            | {"parameters": [_span(), _scope()]}
        },
        "/api/v1/metrics/export": {
            "get": _operation(
                "Every family with what is known of it", _also(_json(_ref("ExportView")), "text/csv"), 400
            )
            | {"parameters": [_format("json", "csv")]}
        },
        "/api/v1/metrics/collection": {
            "get": _operation("Which parts of the metrics are collected", _json(_ref("Collection"))),
            "put": _operation("Switch parts on or off", _json(_ref("Collection")), 400, 413)
            | {"requestBody": {"required": True, "content": {"application/json": {"schema": _switches()}}}},
        },
        "/api/v1/targets": {
            "get": _operation("How all targets are", _json(_object(targets=_list("TargetView"))), 400, 404)
            | {"parameters": [_query("route", "Only those of this route")]}
        },
        "/api/v1/targets/{route}/{target}": {
            "parameters": [_part("route", "Its name"), _part("target", "host:port, as configured")],
            "get": _operation("How a target is", _json(_ref("TargetView")), 400, 404),
            "put": _operation("Let it run dry, keep it out, or take it back", _json(_ref("TargetView")), 400, 404, 413)
            | {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref("WantedTarget")}}}},
        },
        **_judged(),
        **_bans(),
        "/api/v1/connections": {
            "get": _operation("Open connections, a page at a time", _json(_ref("Page")), 400)
            | {"parameters": _queries()}
        },
        "/api/v1/connections/{id}": {
            "parameters": [number],
            "get": _operation("An open connection", _json(_ref("ConnectionView")), 400, 404),
            "delete": _operation("End a connection", {"204": {"description": "It has ended"}}, 400, 404),
        },
        "/api/v1/history": {
            "get": _operation("Ended connections, the newest first", _records(), 400) | {"parameters": _filters()}
        },
        **_tables("listener"),
        **_tables("route"),
        "/api/v1/runtime": {
            "get": _operation("What was changed at runtime", _json(_object(changes=_list("Change"))), 400)
        },
        **{f"{way}/reload": {"post": _reload()} for way in ("/api/v1", "/-")},
        **{f"{way}/upgrade": {"post": _upgrade()} for way in ("/api/v1", "/-")},
        "/api/v1/drain": {"get": _operation("How far a drain is", _json(_ref("DrainView")), 400)},
        "/-/drain": {
            "post": _operation("Accept no more, let what runs finish", {"202": {"description": "It has begun"}}, 400)
        },
    }


def _upgrade() -> Json:
    return _operation("Let a new process of the program take over", _json(_ref("UpgradeView")), 400, 409)


def _reload() -> Json:
    what = _operation("Read the configuration again and serve it", _json(_ref("ReloadView")), 400, 409, 422)
    dry_run: Json = {"type": "string", "enum": ["0", "1"], "default": "0"}
    only = {"name": "dry_run", "in": "query", "description": "1 only says what would change", "schema": dry_run}
    return what | {"parameters": [only]}


def _judged() -> Json:
    """Return what says whether all is well."""
    certificates = _json(_object(certificates=_list("CertificateView")))
    return {
        "/api/v1/audit": {
            "get": _operation("Whether all counts add up; asks the kernel", _json(_ref("AuditView")), 400)
        },
        "/api/v1/limits": {
            "get": _operation("All limits, and how much of each is used", _json(_ref("LimitsView")), 400)
        },
        "/api/v1/certificates": {"get": _operation("How all certificates are", certificates, 400)},
    }


def _bans() -> Json:
    """Return the paths of bans."""
    wanted: Json = {"required": True, "content": {"application/json": {"schema": _ref("WantedBan")}}}
    which: Json = {"content": {"application/json": {"schema": _ref("Confirmation")}}}
    limit = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 10_000}}
    origin = {"name": "origin", "in": "query", "schema": {"type": "string", "enum": ["manual", "auto", "shadow"]}}
    words = (
        ("reason", "Only those made for it"),
        ("address", "Only those that hold for it"),
        ("cursor", "What next said"),
    )
    confirmed = _json(_object(confirmed=_list("BanView")))
    return {
        "/api/v1/bans": {
            "get": _operation("All bans, a page at a time, and block lists", _json(_ref("BanPage")), 400)
            | {"parameters": [origin, limit, *(_query(*each) for each in words)]},
            "post": _operation("Ban an address or a network", _created("BanView"), 400, 413, 422)
            | {"requestBody": wanted},
        },
        "/api/v1/bans/confirm": {
            "post": _operation("Let bans stay that would be undone", confirmed, 400, 413) | {"requestBody": which}
        },
        "/api/v1/bans/{network}": {
            "parameters": [_part("network", "An address or a network; its slash stays one")],
            "get": _operation("One ban", _json(_ref("BanView")), 400, 404),
            "delete": _operation("Lift a ban", {"204": {"description": "It is lifted"}}, 400, 404),
        },
        "/api/v1/why": {
            "get": _operation("What holds against an address", _json(_ref("WhyView")), 400)
            | {"parameters": [_query("ip", "The address") | {"required": True}]}
        },
    }


def _created(name: str) -> Json:
    return {"201": {"description": "Done", "content": {"application/json": {"schema": _ref(name)}}}}


def _tables(section: str) -> Json:
    """Return the paths of listeners or routes."""
    check: Json = {"type": "string", "enum": list(CHECK), "default": CHECK[0]}
    only = {"name": "check", "in": "query", "description": "true only says what would change", "schema": check}
    keys: Json = {"type": "object", "description": f"The keys of a [[{section}]] table; the name may be left out"}
    done = _json(_ref("ReloadView"))
    return {
        f"/api/v1/{section}s": {
            "get": _operation(
                f"Every {section} as it is written", _json(_object(**{f"{section}s": _list("TableView")})), 400, 409
            )
        },
        f"/api/v1/{section}s/{{name}}": {
            "parameters": [_part("name", "Its name")],
            "get": _operation(f"One {section}", _json(_ref("TableView")), 400, 404, 409),
            "put": _operation(f"Add or replace a {section} until the next reload", done, 400, 409, 413, 422)
            | {
                "parameters": [only],
                "requestBody": {"required": True, "content": {"application/json": {"schema": keys}}},
            },
            "delete": _operation(f"Take a {section} away until the next reload", done, 400, 404, 409, 422)
            | {"parameters": [only]},
        },
    }


def _operation(summary: str, answers: Json, *problems: int) -> Json:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    refusals = {str(status): {"description": "A problem", "content": content} for status in (401, 403, *problems)}
    return {"summary": summary, "responses": answers | refusals}


def _text() -> Json:
    return {"200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}}


def _json(schema: Json) -> Json:
    return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}


def _queries() -> list[Json]:
    schemas: Json = {
        "listener": {"type": "string"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1_000},
        "cursor": {"type": "integer", "minimum": 0},
        "sort": {"type": "string", "enum": ["id", "bytes"], "default": "id"},
    }
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


def _records() -> Json:
    return _also(_json(_ref("RecordPage")), "text/csv", "application/x-ndjson")


def _also(answers: Json, *media: str) -> Json:
    """Return answers that come in other forms too."""
    answers["200"]["content"] |= {each: {"schema": {"type": "string"}} for each in media}
    return answers


def _format(*words: str) -> Json:
    return {"name": "format", "in": "query", "schema": {"type": "string", "enum": list(words), "default": words[0]}}


def _filters() -> list[Json]:
    text: Json = {"type": "string"}
    number: Json = {"type": "integer", "minimum": 0}
    told: dict[str, tuple[str, Json]] = {
        "client": ("An address, a network, an address with its port, or - for Unix sockets", text),
        "user": ("Exactly this one", text),
        "destination": ("host, host:port, *.suffix or *.suffix:port", text),
        "route": ("Exactly this one", text),
        "listener": ("Exactly this one", text),
        "target": ("host:port, exactly as configured", text),
        **{name: ("How it ended", text | {"enum": list(words)}) for name, words in WORDS.items()},
        "min_bytes": ("bytes_in and bytes_out together, at least", number),
        "min_duration": ("As in 90s, 0.5s or 5m", text),
        "since": ("Ended at this time or later: RFC 3339, or how long ago, as in -5m", text),
        "until": ("Ended before this time", text),
        "limit": ("At most so many", number | {"minimum": 1, "maximum": LONGEST_PAGE, "default": 100}),
        "cursor": ("Where the page before ended: its next", number),
        "after": ("Only records with a higher number, the oldest first", number),
        "format": ("Instead of an Accept header", text | {"enum": ["json", "csv", "jsonl"]}),
    }
    return [{"name": name, "in": "query", "description": what, "schema": s} for name, (what, s) in told.items()]


def _query(name: str, what: str) -> Json:
    return {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}


def _part(name: str, what: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": what, "schema": {"type": "string"}}


def _time(name: str, default: str) -> Json:
    what = (
        "instant, recent, average, or a time from 1s to as long as is kept, as in 10s or 5m; "
        "of a client, user or destination to 5m"
    )
    return {"name": name, "in": "query", "description": what, "schema": {"type": "string", "default": default}}


def _span() -> Json:
    what = "how far back: to an hour by the second, to a day by the minute, further by the hour, as in 300, 6h or 90d"
    return {"name": "seconds", "in": "query", "description": what, "schema": {"type": "string", "default": "300"}}


def _scope() -> Json:
    what = (
        "node, listener:NAME, route:NAME, target:HOST:PORT, client:IP, user:NAME, destination:HOST:PORT; "
        "or client:other and the like"
    )
    return {"name": "scope", "in": "query", "description": what, "schema": {"type": "string", "default": NODE}}


def _names() -> Json:
    what = "only these families, by their names or those of their samples; `name` is the same"
    return {
        "name": "name[]",
        "in": "query",
        "description": what,
        "schema": {"type": "array", "items": {"type": "string"}},
    }


def _switches() -> Json:
    return {
        "type": "object",
        "properties": {part: {"type": "boolean"} for part in (*PARTS, ALL)},
        "additionalProperties": False,
    }


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(name=name)}


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _schemas() -> Json:
    types = (
        NodeView, WorkersView, Totals, Throughput, ListenerView, RouteView, TargetView, OutcomeCount,
        ConnectionView, MetricsView, WindowView, HistoryView, RecordView, Collection,
        AuditView, CertificateView, LimitsView, ExportView, ReloadView, DrainView, WantedTarget,
        BanView, ListView, WantedBan, Confirmation, WhyView, TableView, UpgradeView,
    )  # fmt: skip
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    count = {"type": "integer", "minimum": 0}
    return components | {
        "Stats": _object(
            node=_ref("NodeView"),
            workers=_ref("WorkersView"),
            totals=_ref("Totals"),
            throughput=_ref("Throughput"),
            listeners=_list("ListenerView"),
            routes=_list("RouteView"),
            targets=_list("TargetView"),
            outcomes=_list("OutcomeCount"),
            refused=_object(**{str(reason): count for reason in Reason}),
            taken_at={"type": "string", "format": "date-time"},
        ),
        "Page": _object(
            connections=_list("ConnectionView"),
            next={"type": ["integer", "null"]},
            total=count,
        ),
        "BanPage": _object(
            bans=_list("BanView"), next={"type": ["string", "null"]}, total=count, lists=_list("ListView")
        ),
        "RecordPage": _object(
            connections=_list("RecordView"),
            next={"type": ["integer", "null"]},
            total=count,
            first=count,
            last=count,
        ),
        "Problem": _object(
            type={"type": "string"}, title={"type": "string"}, status={"type": "integer"}, detail={"type": "string"}
        )
        | {"description": "mistakes, where there are several, has a line for each"},
    }
