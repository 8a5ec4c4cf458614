"""`penstock`: the commands and where each of them lives."""

import rich_click as click

from penstock import __version__
from penstock.cli.group import Application, Lazy

SERVE, LOOK, STEER, PREPARE = "Serve", "Look", "Steer", "Prepare"

COMMANDS = {
    "run": Lazy("penstock.cli.serve:run", SERVE, "Serve what a configuration file describes."),
    "tcp": Lazy("penstock.cli.oneshot:tcp", SERVE, "Serve a TCP proxy: every connection goes to a target."),
    "http": Lazy("penstock.cli.oneshot:http", SERVE, "Serve an HTTP forward proxy, CONNECT included."),
    "socks5": Lazy("penstock.cli.oneshot:socks5", SERVE, "Serve a SOCKS5 proxy, SOCKS4 and 4a as a courtesy."),
    "demo": Lazy("penstock.cli.demo.command:demo", SERVE, "Serve all proxies with live traffic, here and now."),
    "status": Lazy("penstock.cli.status:status", LOOK, "Show what a running node does."),
    "connections": Lazy("penstock.cli.connections:connections", LOOK, "List the open connections of a running node."),
    "history": Lazy("penstock.cli.history:history", LOOK, "List connections of a running node that have ended."),
    "metrics": Lazy("penstock.cli.metrics:metrics", STEER, "Show or switch what a running node collects."),
    "audit": Lazy("penstock.cli.audit:audit", LOOK, "Show whether everything that a running node counts adds up."),
    "targets": Lazy("penstock.cli.targets:targets", LOOK, "List the targets of a running node, and how they are."),
    "listeners": Lazy(
        "penstock.cli.tables:listeners",
        LOOK,
        "List the listeners of a running node, and which of them were changed at runtime.",
    ),
    "routes": Lazy(
        "penstock.cli.tables:routes",
        LOOK,
        "List the routes of a running node, and which of them were changed at runtime.",
    ),
    "listener": Lazy(
        "penstock.cli.tables:listener", STEER, "Show a listener of a running node, set listeners, or remove one."
    ),
    "route": Lazy("penstock.cli.tables:route", STEER, "Show a route of a running node, set routes, or remove one."),
    "target": Lazy("penstock.cli.targets:target", STEER, "Take a target of a running node out, or back."),
    "certificates": Lazy(
        "penstock.cli.certificates:certificates", LOOK, "List the certificates of a running node, and how they are."
    ),
    "limits": Lazy(
        "penstock.cli.limits:limits", LOOK, "List the limits of a running node, and how much of each is used."
    ),
    "close": Lazy("penstock.cli.control:close", STEER, "Close connections of a running node by their ids."),
    "bans": Lazy("penstock.cli.bans:bans", LOOK, "List the bans of a running node."),
    "why": Lazy("penstock.cli.bans:why", LOOK, "Show why an address is refused, or would soon be."),
    "ban": Lazy("penstock.cli.bans:ban", STEER, "Refuse an address or a network before a byte is read."),
    "confirm": Lazy("penstock.cli.bans:confirm", STEER, "Let bans stay that would be undone: one, or all that wait."),
    "unban": Lazy("penstock.cli.bans:unban", STEER, "Lift a ban."),
    "reload": Lazy("penstock.cli.reload:reload", STEER, "Let a running node read its configuration again."),
    "upgrade": Lazy("penstock.cli.upgrade:upgrade", STEER, "Let a new process take over from a running node."),
    "drain": Lazy("penstock.cli.control:drain", STEER, "Stop a running node gently: no new connections, then exit."),
    "check": Lazy("penstock.cli.check:check", PREPARE, "Check a configuration and show what it would run."),
    "config": Lazy("penstock.cli.settings:config", PREPARE, "Show the configuration's schema or effective values."),
    "explain": Lazy(
        "penstock.cli.explain:explain",
        PREPARE,
        "Show whether a connection may come in, and which route it takes.",
    ),
    "user": Lazy("penstock.cli.user:user", PREPARE, "Keep the users of a users file."),
    "completion": Lazy("penstock.cli.completion:completion", PREPARE, "Print the completion script of a shell."),
}


@click.group(
    cls=Application,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="penstock")
def app() -> None:
    """
    An observable network proxy: TCP, HTTP and SOCKS5, every byte counted while connections are open.

    Standard output is data, standard error is messages. Exit codes: 0 done, 1 failed, 2 wrong usage, 69 no node
    reached, 77 missing privilege, 78 bad configuration, 130 interrupted.
    """


def main() -> None:
    """Run the command line; the process's entry point."""
    app.main(prog_name="penstock")
