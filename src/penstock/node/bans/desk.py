"""
The desk of bans: where they are made, lifted, confirmed and let run out, by operators and by detectors.

What it decides goes into the tables that workers read, into the store, into the log and into the metrics.
Source: docs/decisions/0014-bans.md.
"""

import os
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from penstock.base.clock import Clock
from penstock.config.plan import NodePlan
from penstock.dataplane import ban_table
from penstock.dataplane.ban_ranges import FOREVER
from penstock.dataplane.ban_table import BANS, KIND, TIME, USED, BanTable
from penstock.dataplane.bans import BY_HAND, LISTED
from penstock.metrics.banned import REASONS, BannedView
from penstock.metrics.growth import Growth
from penstock.metrics.offenders import by_client
from penstock.node.bans.drawer import Drawer
from penstock.node.bans.fills import FillView
from penstock.node.bans.judge import Judge, Verdict
from penstock.node.bans.left_out import in_words, left_out
from penstock.node.bans.lists import BlockList, read_lists, stamps
from penstock.node.bans.ranges import Span, columns_of, disjoint, merged, together
from penstock.node.bans.spared import Spared
from penstock.node.bans.surroundings import look_around
from penstock.node.bans.views import BanError, BanView, ListView, WantedBan, length_of, view_of
from penstock.node.bans.writing import write
from penstock.node.log import Log
from penstock.policy.ban import Ban, Evidence, Network, of_client, parse_network
from penstock.policy.ban_book import BanBook, Held
from penstock.policy.detectors import Offences, Rule
from penstock.policy.protection import Guarded, Protection

NETWORKS = 4_096
"""Networks that are banned by hand at once; sorting them anew takes some ten ms. Block lists hold the millions."""

LINES = 10
"""Lines in one tick about bans that begin, and about bans that end: with 20 of refusals fewer than 50 (FEATURES B7)."""

SENTENCES = 1_000
"""Clients that detectors ban in one tick, which takes it about 13 ms; others are banned in the next ones. Until then
their limits refuse them."""

Hand = Callable[[int, tuple[int, int, int]], None]
"""Gives workers another table of networks."""


class Desk:
    """
    Bans of one node.

    Args:
        plan: Whom detectors find, whom nobody bans.
        clock: Gives the time.
        log: Where it says what happens.
        look: Finds what is to be protected around this machine.

    Attributes:
        hand: Set by whoever has workers.
        keep: Called when something shall be kept at once.
        cut: Ends the open connections of a network's clients, and returns how many there were at the last look.
        fills: Tells what of its limits an address, as a number, has in use at a monotonic time.
        spared: Whom nobody may ban.
        drawer: What is kept.
        judge: The detectors.
    """

    def __init__(self, plan: NodePlan, clock: Clock, log: Log, look: Callable[[], list[Guarded]] = look_around) -> None:
        self._plan, self._clock, self._log = plan, clock, log
        self._fds = [ban_table.create(), -1, -1]
        self._table = BanTable(self._fds[0])
        self._book = BanBook(BANS)
        self._networks = 0
        self._dirty = False
        self._verdicts: list[Verdict] = []
        self._lists: tuple[BlockList, ...] = ()
        self._read: tuple[tuple[object, ...], tuple[BlockList, ...]] = ((), ())
        self._left_out: dict[str, str] = {}
        self._refused: dict[str, int] = {}
        self._singles: dict[int, str] = {}
        self._wides: dict[int, str] = {}
        self._shadows: dict[str, Network] = {}
        self._manual: set[str] = set()
        self._numbers: BannedView | None = None
        self._made = dict.fromkeys(REASONS, 0)
        self._shadowed = 0
        self.hand: Hand = lambda place, fds: None
        self.keep: Callable[[], None] = lambda: None
        self.cut: Callable[[Network], int] = lambda network: 0
        self.fills: Callable[[int, int], list[FillView]] = lambda address, now: []
        self.spared = Spared(plan, clock, look)
        self.offences = Offences(plan.bans.longest, plan.bans.remember)
        self.judge = Judge(plan.bans, len(plan.worker.listeners))
        self.drawer = Drawer(self)

    @property
    def plan(self) -> NodePlan:
        """Return what it goes by."""
        return self._plan

    @property
    def fds(self) -> tuple[int, int, int]:
        """Return the descriptors for workers; see `dataplane.bans`."""
        return self._fds[0], self._fds[1], self._fds[2]

    # Orders ----------------------------------------------------------------------------------------------------------

    def ban(self, wanted: WantedBan, asker: str = "") -> BanView:
        """
        Ban as an operator wants.

        Args:
            wanted: What.
            asker: Address that the operator comes from over TCP; empty at the Unix socket.

        Raises:
            BanError: If it cannot be, with the reason.
        """
        try:
            network = parse_network(wanted.address)
        except ValueError as error:
            raise BanError(f"address: {error}") from None
        for each in (asker, wanted.asker):
            if why := self.spared.protection(each).refuses(network):
                raise BanError(f"{network.text} cannot be banned: {why}")
        length, confirm = length_of("for", wanted.length), length_of("confirm", wanted.confirm)
        if confirm is not None and (old := self._book.get(network.text)) is not None and old.ban.confirm_by is None:
            raise BanError(f"{network.text} is banned already; what nobody confirms would lift that ban, too")
        now = self._clock.wall_ns()
        ban = Ban(
            network=network.text,
            origin="manual",
            reason=wanted.reason or "banned by an operator",
            since=now,
            until=None if length is None else now + length,
            shadow=wanted.shadow,
            confirm_by=None if confirm is None else now + confirm,
        )
        self._make(ban, network, "manual")
        self._log.warning("banned", network=ban.network, by="operator", reason=ban.reason, **_said(wanted))
        self._settle()
        return self._view(ban)

    def unban(self, text: str) -> BanView | None:
        """Lift a ban, and forget what its client did; returns it, or None if there was none. Raises BanError."""
        try:
            network = parse_network(text)
        except ValueError as error:
            raise BanError(f"address: {error}") from None
        held = self._book.remove(network.text)
        if held is None:
            return None
        view = self._view(held.ban)
        self._lift(held)
        if network.single or network.wide:
            self.judge.drop(network.ranges[0][0])
            self.offences.forgive(network.ranges[0][0])
            self.drawer.forgave(network.ranges[0][0])
        self._log.warning("ban lifted", network=network.text, by="operator")
        self._settle()
        return view

    def confirm(self, text: str | None) -> list[BanView]:
        """
        Let bans stay that would be undone.

        Args:
            text: Which network; None for all that wait.

        Raises:
            BanError: If it is no network.
        """
        try:
            wanted = None if text is None else parse_network(text).text
        except ValueError as error:
            raise BanError(f"address: {error}") from None
        confirmed = []
        for held in self._book.waiting():
            if wanted in (None, held.ban.network):
                ban = replace(held.ban, confirm_by=None)
                self._hold(ban, held.network)
                self._log.warning("ban confirmed", network=ban.network)
                confirmed.append(self._view(ban))
        self._settle()
        return confirmed

    # What there is ---------------------------------------------------------------------------------------------------

    def page(
        self, *, after: str, limit: int, origin: str | None, reason: str | None, address: int | None
    ) -> tuple[list[BanView], str | None, int]:
        """Return a page of bans, where the next one begins, and how many there are in all."""
        held: Iterable[Held] = self._book if address is None else self._book.holding(address)
        found = [
            each
            for each in held
            if origin in (None, each.ban.origin, "shadow" if each.ban.shadow else None)
            and reason in (None, each.ban.reason)
        ]
        bans, following = self._book.page(found, after, limit)
        return [self._view(each) for each in bans], following, len(found)

    def get(self, text: str) -> BanView | None:
        """Return the ban of exactly a network; None if there is none, or it is none."""
        try:
            held = self._book.get(parse_network(text).text)
        except ValueError:
            return None
        return None if held is None else self._view(held.ban)

    def holding(self, address: int) -> list[BanView]:
        """Return all bans that hold for an address, as a number."""
        return [self._view(each.ban) for each in self._book.holding(address)]

    def listed(self, address: int) -> list[ListView]:
        """Return the block lists that hold an address, as a number."""
        spared = any(low <= address <= high for low, high in self.spared.protection().ranges)
        return [] if spared else [_list_view(each) for each in self._lists if each.holds(address)]

    def offended(self, address: int) -> int:
        """Return how often a client has offended lately."""
        wide = address if address >> 32 == 0xFFFF or not self._plan.bans.ipv6_networks else address >> 64 << 64
        return self.offences.of(wide, self._clock.wall_ns())

    @property
    def lists(self) -> list[ListView]:
        """Return all block lists."""
        return [_list_view(each) for each in self._lists]

    @property
    def held(self) -> BanBook:
        """Return all bans."""
        return self._book

    @property
    def made(self) -> dict[str, int]:
        """Return how many bans were made, by reason; whoever restores may add to it."""
        return self._made

    @property
    def monotonic(self) -> int:
        """Return the monotonic time; unit ns."""
        return self._clock.monotonic_ns()

    def counts(self, address: int) -> Iterable[tuple[Rule, int]]:
        """Return what detectors count of an address, as a number, now."""
        return self.judge.counts(address, self.monotonic)

    @property
    def now(self) -> int:
        """Return the time; unit ns since the epoch."""
        return self._clock.wall_ns()

    def numbers(self) -> BannedView:
        """Return how many are banned; the same object as long as nothing changes."""
        if self._numbers is None:
            manual, shadow = len(self._manual), len(self._shadows)  # and not one by one: there may be 65,536
            active = {"manual": manual, "auto": len(self._book) - manual - shadow, "shadow": shadow}
            active["listed"] = sum(map(len, self._lists))
            self._numbers = BannedView(active=active, made=dict(self._made), shadowed=self._shadowed)
        return self._numbers

    def _view(self, ban: Ban) -> BanView:
        network = self._book.get(ban.network)
        told = ban.shadow or network is None or network.network.single or network.network.wide
        return view_of(ban, self._clock.wall_ns(), self._refused, told=told)

    # Each second -----------------------------------------------------------------------------------------------------

    def look(self, growth: Growth) -> None:
        """Take what a fold tells: who did what, and who would have been refused."""
        self.judge.look(growth)
        if self._shadows:
            fresh = growth.rows.words[growth.fresh]
            if len(fresh):
                self._count_shadowed(by_client(fresh, wide=False))

    def tick(self) -> BannedView:
        """Let run out what is over, ban whom detectors have found, and return how many are banned."""
        now = self._clock.wall_ns()
        over = self._book.expire(now)
        for place, held in enumerate(over):
            self._lift(held)
            unconfirmed = held.ban.confirm_by is not None and held.ban.confirm_by <= now
            if unconfirmed:
                self._log.warning("ban undone: nobody confirmed it", network=held.ban.network)
            elif place < LINES:
                self._log.info("ban is over", network=held.ban.network, reason=held.ban.reason)
        self._judge(now)
        if over or self._dirty:
            self._settle()
        return self.numbers()

    def _judge(self, now: int) -> None:
        verdicts, refused = self.judge.verdicts(self._clock.monotonic_ns())
        for client, count in refused:
            for name in self._named(client):
                self._refused[name] = self._refused.get(name, 0) + count
        waiting = self._verdicts + verdicts
        verdicts, self._verdicts = waiting[:SENTENCES], waiting[SENTENCES:][:BANS]
        protection = self.spared.protection(auto=True) if verdicts else None
        told = 0
        for verdict in verdicts:
            assert protection is not None  # noqa: S101 - there is a verdict
            told += self._sentence(verdict, protection, now, quiet=told >= LINES)
        if told > LINES:
            event = "more clients would be banned" if self._plan.bans.detect == "shadow" else "more clients banned"
            self._log.warning(event, clients=told - LINES)

    def _sentence(self, verdict: Verdict, protection: Protection, now: int, *, quiet: bool) -> bool:
        """Ban whom a detector has found, and return whether it was; who is banned already, or protected, is not."""
        network = of_client(verdict.client, 64 if self._plan.bans.ipv6_networks else 128)
        rule, shadow = verdict.rule, self._plan.bans.detect == "shadow"
        held = [self._book.get(name) for name in self._named(verdict.client)]
        if any(shadow or not (each and _rehearsed(each.ban)) for each in held) or protection.refuses(network):
            return False
        number, length = self.offences.punish(verdict.client, rule.duration, now)
        self.drawer.punished(verdict.client)
        evidence = Evidence(
            counted=rule.counted, count=verdict.done, threshold=rule.threshold, window=rule.window, offence=number
        )
        ban = Ban(
            network=network.text,
            origin="auto",
            reason=rule.name,
            since=now,
            until=now + length,
            shadow=shadow,
            evidence=evidence,
        )
        try:
            self._make(ban, network, rule.name)
        except BanError as error:
            if not quiet:
                self._log.error("nobody can be banned any more", detail=str(error))
            return False
        self._dirty = True
        if not quiet:
            event = "would be banned" if shadow else "banned"
            said = f"{verdict.done} {rule.counted} within {rule.window // 10**9}s"
            self._log.warning(event, network=ban.network, by=rule.name, detail=said, seconds=length // 10**9)
        return True

    def _named(self, client: int) -> Iterable[str]:
        """Yield the networks of bans of exactly a client: its address, and its 64 bits."""
        if (name := self._singles.get(client)) is not None:
            yield name
        if client >> 32 != 0xFFFF and (name := self._wides.get(client >> 64 << 64)) is not None:
            yield name

    def _count_shadowed(self, clients: Iterable[tuple[int, int]]) -> None:
        networks = [each for each in self._shadows.values() if not (each.single or each.wide)]
        for client, count in clients:
            names = [name for name in self._named(client) if name in self._shadows]
            names += [each.text for each in networks if each.holds(client)]
            for name in names:
                self._refused[name] = self._refused.get(name, 0) + count
            self._shadowed += count if names else 0
            self._numbers = None if names else self._numbers

    # Holding ---------------------------------------------------------------------------------------------------------

    def restore(self, bans: Iterable[Ban]) -> list[str]:
        """Hold what an earlier run held, with its end; returns a line for each that cannot be held any more."""
        faults, now = [], self._clock.wall_ns()
        protection = self.spared.protection()
        for ban in bans:
            if (ban.end is not None and ban.end <= now) or self._book.get(ban.network) is not None:
                continue
            try:
                network = parse_network(ban.network)
                if why := protection.refuses(network):
                    raise BanError(why)
                self._hold(ban, network)
            except (BanError, ValueError) as error:
                faults.append(f"{ban.network}: {error}")
        self._share()
        return faults

    def replan(self, plan: NodePlan) -> None:
        """Go on by another plan; who is protected now is not banned any more."""
        self._plan = self.spared.plan = plan
        self.offences.longest, self.offences.remember = plan.bans.longest, plan.bans.remember
        self.judge.replan(plan.bans, len(plan.worker.listeners))
        self._verdicts = []
        protection = self.spared.protection()
        for held in [each for each in self._book if protection.refuses(each.network)]:
            self._book.remove(held.ban.network)
            self._lift(held)
            self._log.warning("ban lifted", network=held.ban.network, by=protection.refuses(held.network))
        self._settle()

    def read_lists(self, plan: NodePlan) -> tuple[BlockList, ...]:
        """
        Return the block lists of a plan; those of now if no file has changed. Blocks, for seconds at most.

        Raises:
            ConfigurationError: With every mistake in them.
        """
        found = stamps(plan.bans.lists)
        if found != self._read[0]:
            self._read = found, read_lists(plan.bans.lists)
        return self._read[1]

    def write_lists(self) -> int:
        """Return the descriptor of a table of the lists that were read last, -1 for none. Blocks, for a second."""
        lists = self._read[1]
        if not lists:
            return -1
        protection = self.spared.protection()
        self._left_out = {each.path: in_words(left_out(each, protection)) for each in lists}
        return write(merged(together([each.ranges for each in lists]), protection.ranges))

    def take_lists(self, fd: int) -> None:
        """Hand over what `write_lists` returned."""
        self._lists, self._numbers = self._read[1], None
        self._swap(LISTED, fd)
        for each in self._lists:
            self._log.info("block list", file=each.path, networks=len(each), reason=each.reason)
            if said := self._left_out.get(each.path):
                self._log.warning(
                    "block list holds who is never banned, and bans them not", file=each.path, detail=said
                )

    def close(self) -> None:
        """Let go of the tables: workers that still live keep theirs."""
        self._table.close()
        for fd in self._fds:
            if fd >= 0:
                os.close(fd)

    def _make(self, ban: Ban, network: Network, reason: str) -> None:
        self._refused.pop(ban.network, None)
        self._hold(ban, network)
        self._made[reason] += 1

    def _hold(self, ban: Ban, network: Network) -> None:
        """Hold a ban; raises BanError if there is no room."""
        old = self._book.get(ban.network)
        single = network.single or network.wide
        if not single and old is None and self._networks >= NETWORKS:
            raise BanError(f"{NETWORKS} networks are banned already; a block list takes millions")
        if self._book.put(ban, network) is None:
            raise BanError(f"{BANS} bans are as many as there can be")
        self._networks += old is None and not single
        self._numbers = None
        self.drawer.changed(ban.network)
        self._shadows.pop(ban.network, None)
        self._manual.discard(ban.network)
        if ban.shadow:
            self._shadows[ban.network] = network
        elif ban.origin == "manual":
            self._manual.add(ban.network)
        if single:
            self._enforce(ban, network)
        else:
            self._dirty = True

    def _enforce(self, ban: Ban, network: Network) -> None:
        """Let workers know of the ban of one client."""
        address, kind = network.ranges[0][0], KIND if network.wide else USED
        (self._wides if network.wide else self._singles)[address] = ban.network
        if ban.shadow:
            self._table.remove(address, kind)
        elif not self._table.put(address, kind, TIME if ban.end is None else ban.end):
            held = self._book.remove(ban.network)
            assert held is not None  # noqa: S101 - it was put there by who calls
            self._lift(held)
            raise BanError("the table of bans has no room for this address")

    def _lift(self, held: Held) -> None:
        """Undo a ban that was taken out of the book."""
        network = held.network
        self.drawer.changed(held.ban.network)
        self._refused.pop(held.ban.network, None)
        self._shadows.pop(held.ban.network, None)
        self._manual.discard(held.ban.network)
        self._numbers = None
        if network.single or network.wide:
            (self._wides if network.wide else self._singles).pop(network.ranges[0][0], None)
            self._table.remove(network.ranges[0][0], KIND if network.wide else USED)
        else:
            self._networks -= 1
            self._dirty = True

    def _settle(self) -> None:
        """Let workers know of networks, and the store of everything."""
        self._share()
        self.keep()

    def _share(self) -> None:
        """Let workers know of networks, if they have changed."""
        if self._dirty:
            self._dirty = False
            self._swap(BY_HAND, write(columns_of(disjoint(self._spans()))))

    def _spans(self) -> Iterable[Span]:
        for ban, network in self._book:
            if not (network.single or network.wide or ban.shadow):
                end = FOREVER if ban.end is None else ban.end
                yield from (Span(first, last, end) for first, last in network.ranges)

    def _swap(self, place: int, fd: int) -> None:
        old, self._fds[1 + place] = self._fds[1 + place], fd
        if old >= 0 or fd >= 0:
            self.hand(place, self.fds)
        if old >= 0:
            os.close(old)


def _said(wanted: WantedBan) -> dict[str, str]:
    """Return what an operator wanted besides, for the log."""
    said = {"length": wanted.length or "for good"}
    return said | ({"shadow": "yes"} if wanted.shadow else {}) | ({"confirm": wanted.confirm} if wanted.confirm else {})


def _rehearsed(ban: Ban) -> bool:
    """Return whether a detector made it in shadow mode: it keeps nobody from being banned once detectors are on."""
    return ban.shadow and ban.origin == "auto"


def _list_view(each: BlockList) -> ListView:
    return ListView(each.path, each.reason, len(each))
