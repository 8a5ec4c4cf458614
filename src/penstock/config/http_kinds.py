"""Kinds of value of what a route says in HTTP: redirects, answers, rewriting, and the statuses that are well."""

import re
from typing import Any

from penstock.base.addresses import is_ip
from penstock.config.kinds import Kind, is_text
from penstock.config.match_kinds import PATH_CHARACTERS
from penstock.config.mistakes import Wrong, quoted

FIELD_CHARACTERS = 4_096
"""Longest value of a field that we set; half of what nginx and Apache take for one line."""

BODY_BYTES = 65_536
"""Longest body of an answer of ours: an error page, not a download."""

LOCATION_FIELDS = ("scheme", "host", "port", "path", "query")
"""What a location may have filled in."""

_LOCATION = '"https://{host}{path}{query}"'
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\t -~]*", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?", re.ASCII)

OURS = frozenset(
    {
        "connection", "content-length", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Fields that say how messages are framed and passed on (RFC 9110 section 7.6.1): a wrong one splits requests."""


class FieldName(Kind):
    """The name of a field of HTTP that a route may set or remove."""

    def parse(self, value: Any) -> str:
        """Return the name as written."""
        if not is_text(value) or not _TOKEN.fullmatch(value):
            raise Wrong("a field's name is letters, digits and -, as in X-Request-Id")
        if value.lower() == "host":
            raise Wrong("has a key of its own: rewrite.host")
        if value.lower() in OURS:
            raise Wrong("says how messages are framed and passed on, which is the proxy's own business")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1, "maxLength": 128}


class FieldValue(Kind):
    """The value of a field of HTTP."""

    def parse(self, value: Any) -> str:
        """Return the value, without space around it."""
        if not is_text(value) or len(value) > FIELD_CHARACTERS or not _VALUE.fullmatch(value):
            raise Wrong(f"a field's value is printable ASCII of at most {FIELD_CHARACTERS} characters")
        return str(value).strip(" \t")

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "maxLength": FIELD_CHARACTERS}


class Location(Kind):
    """Where a redirect sends: a URL or a path, in which {scheme}, {host}, {port}, {path} and {query} are filled in."""

    def parse(self, value: Any) -> str:
        """Return the location as written."""
        if not is_text(value) or not _VISIBLE.fullmatch(value) or len(value) > PATH_CHARACTERS:
            raise Wrong("a location is printable ASCII without spaces", _LOCATION)
        for name in re.findall(r"\{([^{}]*)\}", value):
            if name not in LOCATION_FIELDS:
                raise Wrong(f"{quoted(name)} is nothing that can be filled in; there are {', '.join(LOCATION_FIELDS)}")
        if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", value)):
            raise Wrong("a { or } stands alone", _LOCATION)
        if not value.startswith(("http://", "https://", "/", "{scheme}://")):
            raise Wrong('a location begins with "https://", "http://" or "/"', _LOCATION)
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^(https?://|/|\\{scheme\\}://)"}


class Prefix(Kind):
    """The beginning of a path, such as `/api`."""

    def parse(self, value: Any) -> str:
        """Return the beginning as written."""
        if not is_text(value) or not value.startswith("/") or not _VISIBLE.fullmatch(value):
            raise Wrong('begins with "/" and is printable ASCII without spaces', '"/api"')
        if any(mark in value for mark in "?#*") or len(value) > PATH_CHARACTERS:
            raise Wrong("is the beginning of a path, without *, query or fragment", '"/api"')
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^/"}


class RequestPath(Kind):
    """The path of a request of ours, a query in it or not."""

    def parse(self, value: Any) -> str:
        """Return the path as written."""
        if not is_text(value) or not value.startswith("/") or len(value) > PATH_CHARACTERS:
            raise Wrong('a path begins with "/"', '"/healthz"')
        if not _VISIBLE.fullmatch(value) or "#" in value:
            raise Wrong("a path is printable ASCII without spaces and without #; write others as %XX")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^/"}


class HostText(Kind):
    """A value of the Host field: a name or an address, and a port where it matters."""

    def parse(self, value: Any) -> str:
        """Return the host as written."""
        found = _HOST.fullmatch(value) if is_text(value) else None
        if found is None or (found[1].startswith("[") and not is_ip(found[1][1:-1])):
            raise Wrong("must be a host name or an address, with a port where it matters", '"app.internal"')
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1}


class Statuses(Kind):
    """A status code, or a range of them as `200-399`; read as the first and the last."""

    def parse(self, value: Any) -> tuple[int, int]:
        """Return the range."""
        if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
            return value, value
        found = re.fullmatch(r"([1-5][0-9]{2})(?:\s?-\s?([1-5][0-9]{2}))?", value) if is_text(value) else None
        if found is None:
            raise Wrong('must be a status from 100 to 599, or a range such as "200-399"')
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise Wrong("the first status is behind the last", f'"{last}-{first}"')
        return first, last

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        code = {"type": "integer", "minimum": 100, "maximum": 599}
        return {"anyOf": [code, {"type": "string", "pattern": "^[1-5][0-9]{2}( ?- ?[1-5][0-9]{2})?$"}]}


class BodyText(Kind):
    """The body of an answer."""

    def parse(self, value: Any) -> str:
        """Return the text."""
        if not is_text(value) or len(value.encode()) > BODY_BYTES:
            raise Wrong(f"a body is text of at most {BODY_BYTES} bytes in UTF-8")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "maxLength": BODY_BYTES}


class Handler(Kind):
    """A function of Python, as `module:function`."""

    def parse(self, value: Any) -> str:
        """Return the name as written."""
        module, colon, name = value.partition(":") if is_text(value) else ("", "", "")
        if not colon or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
            raise Wrong("a handler is module:function", '"rules:decide"')
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^[^:]+:[^:]+$"}
