"""A node's admin door as the command line sees it: HTTP over a Unix socket."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.base.errors import ConfigurationError
from penstock.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from penstock.cli.door import Answer

TIMEOUT_SECONDS = 5.0
"""A node answers in milliseconds; one that takes longer is stuck."""

RELOAD_SECONDS = 60.0
"""A reload reads files, and takes ten thousand routes to every worker."""

UPGRADE_SECONDS = 150.0
"""An upgrade waits a minute for the new process to be ready, and another one for it to count."""

PAGE = 5_000
LARGEST_PAGE = 10_000
"""Connections asked for at a time when all are wanted, and the most that the door gives in one answer."""


class NodeClient:
    """
    Talks to one node.

    Args:
        path: Its Unix socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def stats(self) -> dict[str, Any]:
        """Return totals, throughput, listeners, targets and outcomes."""
        return self._json("GET", "/api/v1/stats")

    def audit(self) -> dict[str, Any]:
        """Return whether all counts add up, the kernel's among them."""
        return self._json("GET", "/api/v1/audit")

    def targets(self, route: str | None = None) -> list[dict[str, Any]]:
        """Return how targets are: all of them, or those of a route."""
        answer = self._json("GET", "/api/v1/targets", None if route is None else {"route": route})
        return list(answer["targets"])

    def order_target(self, route: str, address: str, state: str | None, weight: int | None) -> dict[str, Any]:
        """Say what is wanted of a target, and return how it is; None leaves state or weight as it is."""
        wanted = {name: value for name, value in (("state", state), ("weight", weight)) if value is not None}
        return self._json("PUT", f"/api/v1/targets/{quote(route, safe='')}/{quote(address, safe='')}", body=wanted)

    def tables(self, section: str) -> list[dict[str, Any]]:
        """Return every table of a section, listener or route."""
        return list(self._json("GET", f"/api/v1/{section}s")[f"{section}s"])

    def table(self, section: str, name: str) -> dict[str, Any]:
        """Return one table."""
        return self._json("GET", f"/api/v1/{section}s/{quote(name, safe='')}")

    def set_table(self, section: str, name: str, table: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
        """Add or replace a table, and return what changes; raises ConfigurationError with every mistake."""
        return self._change("PUT", section, name, table, check=check)

    def remove_table(self, section: str, name: str, *, check: bool = False) -> dict[str, Any]:
        """Take a table away, and return what changes; raises ConfigurationError with every mistake."""
        return self._change("DELETE", section, name, None, check=check)

    def _change(self, method: str, section: str, name: str, body: Any, *, check: bool) -> dict[str, Any]:
        query = {"check": "true"} if check else {}
        path = f"/api/v1/{section}s/{quote(name, safe='')}"
        return self._json(method, path, query, body, timeout=RELOAD_SECONDS)

    def limits(self) -> dict[str, Any]:
        """Return all limits, and how much of each is used."""
        found: dict[str, Any] = self._json("GET", "/api/v1/limits")
        return found

    def certificates(self) -> list[dict[str, Any]]:
        """Return how all certificates are."""
        found: list[dict[str, Any]] = self._json("GET", "/api/v1/certificates")["certificates"]
        return found

    def ban(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Ban an address or a network, and return the ban."""
        return self._json("POST", "/api/v1/bans", body=wanted)

    def unban(self, address: str) -> None:
        """Lift a ban."""
        self._ask("DELETE", f"/api/v1/bans/{quote(address)}")

    def confirm(self, address: str | None) -> list[dict[str, Any]]:
        """Let a ban stay that would be undone, or all of them for None; returns which stay."""
        return list(self._json("POST", "/api/v1/bans/confirm", body={"address": address})["confirmed"])

    def bans(self, limit: int, **query: Any) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
        """Return bans, how many there are in all, and block lists; the query is the door's, None for no filter."""
        found: list[dict[str, Any]] = []
        asked = {name: value for name, value in query.items() if value is not None}
        while True:
            page = self._json("GET", "/api/v1/bans", asked | {"limit": min(PAGE, limit - len(found))})
            found += page["bans"]
            if page["next"] is None or len(found) >= limit or not page["bans"]:
                return found, page["total"], page["lists"]
            asked["cursor"] = page["next"]

    def why(self, ip: str) -> dict[str, Any]:
        """Return what holds against an address."""
        return self._json("GET", "/api/v1/why", {"ip": ip})

    def connections(self, **query: Any) -> dict[str, Any]:
        """Return one page of open connections; the query is the door's."""
        return self._json("GET", "/api/v1/connections", {k: v for k, v in query.items() if v not in (None, "")})

    def history(self, **query: Any) -> dict[str, Any]:
        """Return one page of ended connections; the query is the door's, None for what is not asked."""
        return self._json("GET", "/api/v1/history", {k: v for k, v in query.items() if v is not None})

    def close_connection(self, number: int) -> bool:
        """Close a connection; returns whether there was one."""
        return self._ask("DELETE", f"/api/v1/connections/{number}", missing_ok=True).status != 404

    def collection(self) -> dict[str, Any]:
        """Return which parts of the metrics are collected."""
        return self._json("GET", "/api/v1/metrics/collection")

    def switch(self, wanted: Mapping[str, bool]) -> dict[str, Any]:
        """Switch parts on or off, and return which are collected now."""
        return self._json("PUT", "/api/v1/metrics/collection", body=wanted)

    def reload(self, *, dry_run: bool = False) -> dict[str, Any]:
        """
        Tell the node to read its configuration again, and return what changes.

        Raises:
            ConfigurationError: With every mistake that it found.
        """
        query = {"dry_run": "1"} if dry_run else {}
        return self._json("POST", "/api/v1/reload", query, timeout=RELOAD_SECONDS)

    def upgrade(self) -> dict[str, Any]:
        """Tell the node to let a new process take over, and return which it is."""
        return self._json("POST", "/api/v1/upgrade", timeout=UPGRADE_SECONDS)

    def drain(self) -> None:
        """Tell the node to take no more connections, finish those it has, and exit."""
        self._ask("POST", "/-/drain")

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        try:
            answer = self._ask(method, path, query, body, timeout=timeout).json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise CommandError(f"{self._path} answered {path} with something that is no object")
        return answer

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        missing_ok: bool = False,
        timeout: float = TIMEOUT_SECONDS,
    ) -> "Answer":
        from http.client import HTTPException  # noqa: PLC0415 - 15 ms that `--help` need not wait for

        from penstock.cli.door import ask  # noqa: PLC0415

        try:
            answer = ask(self._path, method, path, query or {}, body, timeout)
        except TimeoutError as error:
            raise CommandError(
                f"the node at {self._path} did not answer within {timeout:g} s", Exit.UNREACHABLE
            ) from error
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise CommandError(f"no node answers at {self._path}: {why}", Exit.UNREACHABLE) from error
        if 200 <= answer.status < 300 or (missing_ok and answer.status == 404):
            return answer
        if mistakes := _mistakes(answer):
            raise ConfigurationError(mistakes)
        raise CommandError(f"the node refused: {_problem(answer)}")


def _mistakes(answer: "Answer") -> list[str]:
    """Return the list of mistakes in a problem document; empty for none."""
    try:
        found = answer.json()["mistakes"]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(each) for each in found] if isinstance(found, list) else []


def _problem(answer: "Answer") -> str:
    """Return what a problem document says (RFC 9457), or the status."""
    try:
        document = answer.json()
        return str(document.get("detail") or document["title"])
    except (ValueError, KeyError, AttributeError):
        return f"{answer.status} {answer.reason}"
