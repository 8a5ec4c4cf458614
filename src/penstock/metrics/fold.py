"""
The supervisor's side of a ledger: what grew since the last reading.

Invariants, by number in the code:
1. The state of every row is copied before any counter. The worker writes counters first and the state last, so a row
   that was seen ended has its final counters.
2. A row that shows the ended word of the last fold is skipped whole: its counters may already be those of the next
   connection, which is just being opened there.
3. A row whose serial number changed starts from zero: all that it counts is growth.
4. Growth is never below zero, so totals never go back, whatever a dying worker left.
5. TICK advances only after a whole fold. A row that ended at tick T is read by the fold that begins at T + 1 at the
   latest, and is opened again at T + 2 at the earliest.
6. A row that is between free and open belongs to nobody: it is left for the next fold.
7. A dead worker's open rows are ended here, as internal, in the last fold; a second last fold finds nothing.
8. A connection counts for a target once its dial is over (phase relay, or the end), and then with all its bytes. So it
   does not matter in which second the worker named the target.
9. The bytes of a send that a dead worker had no time to count are counted here: the kernel had taken them.
10. A connection counts once for a route: the first that it takes, or none (0) if it ends without one. What it moves and
   asks counts for the route that its row names when it is read.
11. A text whose TEXT word changed while it was copied may be half of two, and is nobody's until it is read again.

Source: docs/decisions/0003-ledger.md.
"""

import mmap
import os
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.bounds import PIPE_BYTES
from penstock.base.outcomes import Outcome, Phase, Reason
from penstock.metrics.growth import (
    CLOSED,
    COUNTERS,
    NO_TEXTS,
    Growth,
    Mask,
    Numbers,
    Rows,
    TextBlock,
    Trouble,
    Words,
    sum_by,
    widen,
)
from penstock.metrics.ledger import (
    CLIENT_RX,
    CLIENT_TX,
    DOUBT_SHIFT,
    ENDED,
    H_DOUBT,
    H_FAILED_LOGINS,
    H_HIGH,
    H_LOGINS,
    H_MAGIC,
    H_OVERFLOWS,
    H_PAUSES,
    H_PID,
    H_PROXY_HEADERS,
    H_TALLIES,
    H_TICK,
    H_TURNED_AWAY,
    HEADER_WORDS,
    IP_HIGH,
    IP_LOW,
    MAGIC,
    OPEN,
    OUTCOME,
    PHASE,
    REQUESTS,
    REST,
    ROUTE_SHIFT,
    ROW_WORDS,
    SCOPE,
    STARTED,
    STATE,
    TALLY_BYTES,
    TARGET_SHIFT,
    TARGET_TX,
    TEXT,
    TEXT_BYTES,
    TEXT_LENGTH,
    in_doubt,
    rows_of,
)
from penstock.metrics.pairs import PairIndex, Pairs
from penstock.metrics.resumed import SavedReader
from penstock.metrics.tallied import TallyReader
from penstock.metrics.troubled import NOBODY, Troubled, troubled
from penstock.metrics.wording import LOST, Texts, client_of, outcome_of, parse_texts, went_wrong

TROUBLES = 100
"""Ended connections that one fold describes for the log; the rest is counted. A terminal shows about fifty."""

_NO_TEXT = Texts()

_KIND, _SERIAL = np.uint64(3), np.uint64(2)
"""In a state word: which bits are the kind, and how far the serial number is shifted."""

_ID = 0xFFFF
"""What `pack_scope` gives to each id."""

_ROUTE = np.uint64(_ID << ROUTE_SHIFT)
"""Bits of a SCOPE word that name a route."""

_RELAY = np.uint64(Phase.RELAY)


class LedgerReader:
    """
    Reads one worker's ledger.

    Args:
        fd: Descriptor of the ledger; may be closed afterwards.
        generation: Number of the worker's incarnation, 1 or more, never used twice by a node.
        saved: How far another supervisor has read it; None for not at all.

    Raises:
        ValueError: If `saved` is not of this ledger, or the ledger has another layout.

    Attributes:
        rows: How many rows the ledger has.

    Cost: memory of 57 bytes a row that was ever used.
    """

    def __init__(self, fd: int, generation: int, saved: SavedReader | None = None) -> None:
        size = os.fstat(fd).st_size
        self.generation = generation
        self.rows = rows_of(size)
        self._map = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        self._tick = memoryview(mmap.mmap(fd, HEADER_WORDS * 8)).cast("Q")  # writable, and nothing but the header
        self._header: Words = np.frombuffer(self._map, np.uint64, HEADER_WORDS)
        words = np.frombuffer(self._map, np.uint64, self.rows * ROW_WORDS, HEADER_WORDS * 8)
        self._rows: Words = words.reshape(self.rows, ROW_WORDS)
        self._texts = (HEADER_WORDS + self.rows * ROW_WORDS) * 8
        texts = np.frombuffer(self._map, np.uint8, self.rows * TEXT_BYTES, self._texts)
        self._areas: NDArray[np.uint8] = texts.reshape(self.rows, TEXT_BYTES)
        self._state: Words = np.zeros(self.rows, np.uint64)
        self._base: Numbers = np.zeros((COUNTERS, self.rows), np.int64)
        self._target: Numbers = np.zeros(self.rows, np.int64)
        self._routed: Mask = np.zeros(self.rows, np.bool_)
        self._pairs = PairIndex()
        self._tallies = TallyReader(np.frombuffer(self._map, np.uint64, TALLY_BYTES // 8, size - TALLY_BYTES))
        self._counted: dict[int, int] = {}
        if saved is not None:
            self._resume(saved)

    def export(self) -> SavedReader:
        """Return how far the ledger was read."""
        high = min(self._used(H_HIGH), self.rows)
        return SavedReader(
            magic=MAGIC,
            generation=self.generation,
            state=self._state[:high].tobytes(),
            base=self._base[:, :high].tobytes(),
            target=self._target[:high].tobytes(),
            routed=self._routed[:high].tobytes(),
            tallies=self._tallies.export(self._used(H_TALLIES)),
            counted=dict(self._counted),
        )

    def _resume(self, saved: SavedReader) -> None:
        if saved.magic != MAGIC:
            raise ValueError("the ledger has the layout of another release")
        base = np.frombuffer(saved.base, np.int64).reshape(COUNTERS, -1)
        kept = (self._state, saved.state), (self._target, saved.target), (self._routed, saved.routed)
        if any(len(raw) > words.nbytes for words, raw in kept) or base.shape[1] > self.rows:
            raise ValueError("more rows than the ledger has")
        self._base[:, : base.shape[1]] = base
        for words, raw in kept:
            found = np.frombuffer(raw, words.dtype)
            words[: len(found)] = found
        self._tallies.resume(saved.tallies)
        self._counted = dict(saved.counted)

    @property
    def pid(self) -> int:
        """Process that writes this ledger; 0 while it has not begun."""
        return int(self._header[H_PID])

    def fold(self, *, dead: bool = False, texts: bool = False) -> Growth:
        """
        Return what grew since the last fold.

        Args:
            dead: Whether the worker is no more: its open rows are ended (invariant 7).
            texts: Whether to copy the texts of connections that ended. None is missed: their rows still rest.

        Cost: O(rows ever used + rows open), once per second; `tests/metrics/test_fold.py` holds the bound.
        """
        rows, fresh = self._read(dead)
        counters = self._count(rows, fresh)
        closed = ~rows.open
        scopes = rows.words[:, SCOPE].copy()  # side by side: three sums look at them
        undecided = rows.open & (rows.words[:, PHASE] < _RELAY)
        pairs = self._by_pair(rows, scopes, fresh, closed, counters.growth)
        outcomes, troubles, wrong = self._endings(rows, closed, dead)
        growth = Growth(
            listeners=pairs.by_listener(np.bincount((scopes[np.flatnonzero(fresh)] & _ID).view(np.int64))),
            routes=pairs.by_route(),
            pairs=pairs,
            targets=self._by_target(rows, scopes, fresh, undecided, counters),
            tallied=self._tallies.fold(self._used(H_TALLIES), dead=dead),
            outcomes=outcomes,
            pauses=self._grown(H_PAUSES),
            overflows=self._grown(H_OVERFLOWS),
            logins=(self._grown(H_LOGINS), self._grown(H_FAILED_LOGINS)),
            proxy_headers=self._grown(H_PROXY_HEADERS),
            turned_away=self._turned_away() if self._grown(H_TURNED_AWAY) else MappingProxyType({}),
            rows=rows,
            fresh=fresh,
            moved=counters.growth,
            now=counters.now,
            scopes=scopes,
            undecided=undecided,
            reader=self,
            troubles=troubles,
            troubled=wrong,
            texts=self.text_block(rows, np.flatnonzero(closed)) if texts else NO_TEXTS,
        )
        self._tick[H_TICK] += 1  # invariant 5
        return growth

    def _turned_away(self) -> dict[Reason, int]:
        grown = {reason: self._grown(H_TURNED_AWAY + code) for code, reason in enumerate(Reason, 1)}
        return {reason: count for reason, count in grown.items() if count}

    def look(self) -> Rows:
        """Return the rows that are open now. It changes nothing, and may be called in another thread than the fold."""
        high = min(int(self._header[H_HIGH]), self.rows) if int(self._header[H_MAGIC]) == MAGIC else 0
        state = self._rows[:high, STATE].copy()
        position = np.flatnonzero(state & _KIND == OPEN)
        words = self._rows.take(position, axis=0)
        same = self._rows[position, STATE] == state[position]  # so the words are of one connection
        position, words = position[same], words[same]
        return Rows(position, state[position] >> _SERIAL, np.ones(len(position), np.bool_), words)

    def glance(self, position: int, serial: int) -> tuple[int, int] | None:
        """Return the client_rx and client_tx of an open row; None if it has another number, or has ended."""
        row = self._rows[position]
        found = int(row[CLIENT_RX]), int(row[CLIENT_TX])
        return found if int(row[STATE]) == serial << 2 | OPEN else None

    def _read(self, dead: bool) -> tuple[Rows, Mask]:
        high = min(self._used(H_HIGH), self.rows)
        state = self._rows[:high, STATE].copy()  # invariant 1
        is_open = state & _KIND == OPEN
        at_rest = state & ~_KIND | np.uint64(REST)
        there = is_open | (state == at_rest)  # invariant 6
        position = np.flatnonzero(there & (at_rest != self._state[:high]))  # invariants 2 and 7
        words = self._rows.take(position, axis=0)
        if dead:
            self._settle(position, words)
        state, is_open = (at_rest if dead else state)[position], is_open[position] & (not dead)
        fresh = (state >> _SERIAL) != (self._state[position] >> _SERIAL)
        self._state[position] = state
        return Rows(position, state >> _SERIAL, is_open, words), fresh

    def _used(self, word: int) -> int:
        """Return a word of the header that says how much is in use; 0 for a file that is no ledger."""
        return int(self._header[word]) if int(self._header[H_MAGIC]) == MAGIC else 0

    def _settle(self, position: NDArray[np.intp], words: Words) -> None:
        """Count the send that a dead worker was killed in (invariant 9)."""
        note = int(self._header[H_DOUBT])
        row, word = divmod((note >> DOUBT_SHIFT) - HEADER_WORDS, ROW_WORDS)
        found = np.flatnonzero(position == row)
        if len(found) and word in (CLIENT_TX, TARGET_TX):
            words[found[0], word] += np.uint64(in_doubt(note, int(words[found[0], word]), PIPE_BYTES))

    def _count(self, rows: Rows, fresh: Mask) -> "_Counters":
        new = np.flatnonzero(fresh)
        now = rows.words[:, CLIENT_RX : REQUESTS + 1].T.copy().view(np.int64)
        growth = np.empty_like(now)
        for base, after, grown in zip(self._base, now, growth, strict=True):  # one by one: it is in the cache then
            before = base.take(rows.position)
            before[new] = 0  # invariant 3
            np.maximum(before, after, out=after)  # invariant 4
            base[rows.position] = after
            np.subtract(after, before, out=grown)
        return _Counters(now.T, growth.T)

    def _by_pair(self, rows: Rows, scopes: Words, fresh: Mask, closed: Mask, growth: Numbers) -> Pairs:
        before = self._routed.take(rows.position)
        before[np.flatnonzero(fresh)] = False
        routed = scopes & _ROUTE != 0
        self._routed[rows.position] = before | routed
        places = self._pairs.places(scopes)  # invariant 10
        known = len(self._pairs.keys)
        table = widen(sum_by(places, ~before & (routed | closed), closed, growth), known)[:, :known]
        active = np.bincount(places, minlength=known) - np.bincount(places[np.flatnonzero(closed)], minlength=known)
        return Pairs(self._pairs.keys, table, active)

    def _by_target(self, rows: Rows, scopes: Words, fresh: Mask, undecided: Mask, counters: "_Counters") -> Numbers:
        before = self._target.take(rows.position)
        before[np.flatnonzero(fresh)] = 0
        target = (scopes >> TARGET_SHIFT & _ID).view(np.int64)
        kept = np.flatnonzero(undecided | (target == 0))  # invariant 8
        target[kept] = before[kept]
        arrived = target != before
        changed = np.flatnonzero(arrived | fresh)
        self._target[rows.position[changed]] = target[changed]
        first = arrived & (before == 0)
        growth = np.where(first[:, None], counters.now, counters.growth) if first.any() else counters.growth
        table = sum_by(target, arrived, ~rows.open, growth)
        moved = np.bincount(before[arrived & ~first])  # from another target, which it has left
        table = widen(table, len(moved))
        table[CLOSED, : len(moved)] += moved
        table[:, 0] = 0  # connections without a target
        return table

    def _endings(self, rows: Rows, closed: Mask, dead: bool) -> tuple[dict[Outcome, int], list[Trouble], Troubled]:
        position = np.flatnonzero(closed)
        if not len(position):
            return {}, [], NOBODY
        packed = rows.words[position, OUTCOME]
        if dead:
            packed = np.where((rows.words[position, STATE] & _KIND) == OPEN, np.uint64(LOST.pack()), packed)
        words, counts = np.unique(packed, return_counts=True)
        outcomes: dict[Outcome, int] = {}
        for word, count in zip(words.tolist(), counts.tolist(), strict=True):
            outcome = outcome_of(word)
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        bad = np.isin(packed, [word for word in words if went_wrong(outcome_of(int(word)))])
        chosen = position[bad]
        first = chosen[:TROUBLES]
        raws, whole = self.raw_texts(rows.position[first], rows.serial[first])  # of all at once: most have none
        texts = [parse_texts(raw) if there else _NO_TEXT for raw, there in zip(raws, whole.tolist(), strict=True)]
        told = zip(first.tolist(), packed[bad][:TROUBLES].tolist(), texts, strict=True)
        troubles = [self._trouble(rows, *each) for each in told]
        return outcomes, troubles, troubled(rows.words[chosen, IP_HIGH], rows.words[chosen, IP_LOW], packed[bad])

    def _trouble(self, rows: Rows, index: int, packed: int, texts: Texts) -> Trouble:
        words, serial = rows.words[index], int(rows.serial[index])
        scope = int(words[SCOPE])
        return Trouble(
            serial=serial,
            outcome=outcome_of(packed),
            listener=scope & _ID,
            target=scope >> TARGET_SHIFT & _ID,
            client=client_of(words),
            age_ns=max(0, int(words[ENDED]) - int(words[STARTED])),
            texts=texts,
        )

    def texts(self, position: int, serial: int) -> Texts:
        """
        Return what the worker has written of a connection.

        Args:
            position: Its row.
            serial: Its number. If the row has another one by now, or by the time that the text was copied, the text is
                somebody else's and the answer is empty.
        """
        raws, whole = self.raw_texts(np.array([position]), np.array([serial], np.uint64))
        return parse_texts(raws[0]) if whole[0] else Texts()

    def raw_texts(self, position: NDArray[np.intp], serial: Words) -> tuple[list[bytes], Mask]:
        """
        Return the texts of many rows as they were written, and which of them are whole.

        Args:
            position: Which rows.
            serial: The number of the connection in each; a text of another one is not whole.

        Cost: 0.2 us a row.
        """
        before = self._rows[position, TEXT]
        lengths = np.minimum(before & TEXT_LENGTH, TEXT_BYTES)
        begins = position * TEXT_BYTES + self._texts
        ends = begins + lengths.astype(np.int64)
        raws = [self._map[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        whole = (self._rows[position, TEXT] == before) & (lengths > 0)  # invariant 11
        return raws, whole & (self._rows[position, STATE] >> _SERIAL == serial)

    def text_block(self, rows: Rows, chosen: NDArray[np.intp]) -> TextBlock:
        """
        Return what the worker has written of many connections; nothing for those whose row has another one by now.

        Args:
            rows: Of a fold of this reader.
            chosen: Which of the rows.

        Cost: O(chosen * longest text). Areas without a text are not touched: reading a page would give it memory.
        """
        position = rows.position[chosen]
        lengths = np.minimum(rows.words[chosen, TEXT] & TEXT_LENGTH, TEXT_BYTES).astype(np.intp)
        told = np.flatnonzero(lengths)
        area = np.zeros((len(chosen), int(lengths.max(initial=0))), np.uint8)
        area[told] = self._areas[position[told], : area.shape[1]]
        lengths[self._rows[position, STATE] >> _SERIAL != rows.serial[chosen]] = 0
        return TextBlock(lengths, area)

    def _grown(self, word: int) -> int:
        """Return by how much a counter of the header has grown."""
        before = self._counted.get(word, 0)
        now = self._counted[word] = max(before, int(self._header[word]))
        return now - before


class _Counters(NamedTuple):
    """Counters of rows since they began, and since the last fold; shape (n, COUNTERS)."""

    now: Numbers
    growth: Numbers
