"""Names are looked up once, in threads, for as long as an answer serves; nothing grows without bound."""

import threading
from socket import AF_INET

import pytest

from penstock.base import bounds
from penstock.base.clock import NS
from penstock.dataplane import resolver as room
from penstock.dataplane.resolver import Answer, Resolver, look_up

FOUND = Answer(((AF_INET, "192.0.2.1"),))
NONE = Answer((), "no such name")


class Directory:
    """Answers lookups when the test lets it, and counts them."""

    def __init__(self):
        self.asked, self.gate, self.answer = [], threading.Event(), FOUND
        self.gate.set()

    def __call__(self, host):
        """Note who is asked for, wait, and answer."""
        self.asked.append(host)
        self.gate.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def directory():
    """What is asked in threads."""
    return Directory()


@pytest.fixture
def resolver(reactor, directory):
    """A resolver whose answers serve for 30 s, and whose failures for 2 s."""
    found = Resolver(reactor, 30 * NS, 2 * NS, directory)
    found.reactor = reactor
    yield found
    directory.gate.set()
    found.close()
    reactor.close()


def turn_until(resolver, condition):
    """Run the reactor until the condition holds."""
    for _ in range(1_000):
        if condition():
            return
        resolver.reactor.turn(0.01)
    raise AssertionError("it did not come")


def test_lookup_never_blocks_the_loop(resolver, directory):
    """While a lookup takes its time the loop turns, and the answer comes in a later turn."""
    directory.gate.clear()
    answers, turns = [], []
    resolver.resolve("slow.example", answers.append)
    resolver.reactor.post(lambda: turns.append(1))
    turn_until(resolver, lambda: turns)
    assert answers == []
    directory.gate.set()
    turn_until(resolver, lambda: answers)
    assert answers == [FOUND]


def test_wishes_for_one_name_are_one_lookup(resolver, directory):
    """A hundred wishes for a name, in any case of letters, are one lookup and a hundred answers."""
    directory.gate.clear()
    answers = []
    for index in range(100):
        resolver.resolve("Example.ORG" if index % 2 else "example.org", answers.append)
    directory.gate.set()
    turn_until(resolver, lambda: len(answers) == 100)
    assert directory.asked == ["example.org"]


@pytest.mark.parametrize(("answer", "seconds"), [(FOUND, 30), (NONE, 2)])
def test_answer_serves_for_its_time(resolver, directory, clock, answer, seconds):
    """An answer and a failure serve from the cache at once, each for its own time, and are asked for again after."""
    directory.answer = answer
    answers = []
    resolver.resolve("a", answers.append)
    turn_until(resolver, lambda: answers)
    clock.advance(seconds - 0.001)
    resolver.reactor.turn(0)
    resolver.resolve("a", answers.append)
    assert answers == [answer] * 2, "it was to come from the cache, at once"
    clock.advance(0.001)
    resolver.reactor.turn(0)
    resolver.resolve("a", answers.append)
    turn_until(resolver, lambda: len(answers) == 3)
    assert directory.asked == ["a", "a"]


def test_queue_is_bounded(resolver, directory, monkeypatch):
    """Beyond so many waiting names a wish fails at once, and those that wait are answered all the same."""
    monkeypatch.setattr(room, "RESOLVER_QUEUE", 40)
    directory.gate.clear()
    answers, refused = [], []
    for index in range(40):
        resolver.resolve(f"n{index}", answers.append)
    resolver.resolve("one too many", refused.append)
    assert refused[0].addresses == ()
    directory.gate.set()
    turn_until(resolver, lambda: len(answers) == 40)
    resolver.resolve("another", answers.append)
    turn_until(resolver, lambda: len(answers) == 41)


def test_cache_is_bounded_and_the_oldest_leaves(resolver, directory, monkeypatch):
    """The cache holds so many names; the one that was learnt first is forgotten first."""
    monkeypatch.setattr(room, "RESOLVER_ENTRIES", 5)
    answers = []
    for index in range(6):
        resolver.resolve(f"n{index}", answers.append)
        turn_until(resolver, lambda index=index: len(answers) == index + 1)
    assert len(resolver._cache) == 5
    resolver.resolve("n5", answers.append)
    assert len(answers) == 7
    resolver.resolve("n0", answers.append)
    turn_until(resolver, lambda: len(answers) == 8)
    assert directory.asked[-1] == "n0"


def test_threads_are_few(resolver, directory):
    """However many names wait, no more than the bound's threads are started, and none before it is needed."""
    answers = []
    for _ in range(5):
        resolver.resolve(f"n{len(answers)}", answers.append)
        before = len(answers)
        turn_until(resolver, lambda before=before: len(answers) > before)
    assert resolver._threads == 1
    directory.gate.clear()
    for index in range(100):
        resolver.resolve(f"m{index}", answers.append)
    assert resolver._threads == bounds.RESOLVER_THREADS
    directory.gate.set()
    turn_until(resolver, lambda: len(answers) == 105)


def test_lookup_that_raises_is_a_failure_and_not_the_end(resolver, directory):
    """Whatever a lookup raises is an answer without addresses: no thread dies of it and no name waits for ever."""
    directory.answer = ValueError("embedded null byte")
    answers = []
    for index in range(40):
        resolver.resolve(f"n{index}", answers.append)
    turn_until(resolver, lambda: len(answers) == 40)
    assert answers[0] == Answer((), "embedded null byte")
    assert resolver._threads <= bounds.RESOLVER_THREADS


def test_callback_that_raises_is_nobody_elses_end(resolver, directory, crashes):
    """Of several who wait for a name, one that crashes is reported by itself, and the others hear the answer."""
    directory.gate.clear()
    answers = []

    def crash(answer):
        raise ZeroDivisionError

    for callback in (answers.append, crash, answers.append):
        resolver.resolve("a", callback)
    directory.gate.set()
    turn_until(resolver, lambda: len(answers) == 2 and crashes)
    (owner, error) = crashes[0]
    assert getattr(owner, "func", owner) is crash
    assert isinstance(error, ZeroDivisionError)


def test_system_knows_localhost():
    """The real lookup gives the addresses of a name that every machine has, each once."""
    answer = look_up("localhost")
    assert {address for _, address in answer.addresses} & {"127.0.0.1", "::1"}
    assert len(set(answer.addresses)) == len(answer.addresses)


@pytest.mark.parametrize("name", ["a." * 200 + "invalid", "x" * 64 + ".invalid", ".", "a..b", "\udc80", "a\0b", ""])
def test_names_that_are_none_are_failures(name):
    """A name that the system refuses before it asks anybody is an answer without addresses."""
    answer = look_up(name)
    assert answer.addresses == ()
    assert answer.error
