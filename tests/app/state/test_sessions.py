"""Sessions that are told to other gateways: each once, the newest word counts, and nothing tells whose they are."""

import subprocess
import sys

import pytest

from app.state.sessions import ENTRY_BYTES, SharedSessions
from app.state.stable import digest, stable_hash
from router.mode import Mode
from router.session import SessionState


def thinking(at_s):
    return SessionState(Mode.THINKING, at_s)


def instruct(at_s):
    return SessionState(Mode.INSTRUCT, at_s)


def test_what_one_gateway_remembers_another_recalls():
    one, other = SharedSessions(), SharedSessions()
    one.remember(("t", "x"), thinking(5.0))
    one.remember(("t", 77), instruct(5.0))
    other.told(one.take(100), 3.0)
    assert other.recall(("t", "x"), 4.0) == thinking(3.0)
    assert other.recall(("t", 77), 4.0) == instruct(3.0)
    assert other.recall(("u", "x"), 4.0) is None
    assert one.take(100) == b""
    assert other.take(100) == b""  # what was heard is not told again


def test_a_later_word_of_its_own_stays_and_an_older_one_goes():
    sessions, other = SharedSessions(), SharedSessions()
    other.remember("k", instruct(1.0))
    entries = other.take(1)
    sessions.remember("k", thinking(5.0))
    sessions.told(entries, 4.0)
    assert sessions.recall("k", 5.0) == thinking(5.0)
    sessions.told(entries, 6.0)
    assert sessions.recall("k", 6.0) == instruct(6.0)


def test_told_is_the_last_decision_once_and_in_order():
    sessions = SharedSessions()
    for key, state in (("a", thinking(1.0)), ("b", thinking(2.0)), ("a", instruct(3.0))):
        sessions.remember(key, state)
    first = sessions.take(1)
    assert first[:-1] == digest("b")
    rest = sessions.take(10)
    assert (rest[:-1], len(rest)) == (digest("a"), ENTRY_BYTES)
    other = SharedSessions()
    other.told(rest, 3.0)
    assert other.recall("a", 3.0) == instruct(3.0)


def test_what_could_not_be_told_is_told_later_unless_there_is_news():
    sessions = SharedSessions()
    sessions.remember("a", thinking(1.0))
    sessions.remember("b", thinking(1.0))
    taken = sessions.take(10)
    sessions.remember("a", instruct(2.0))
    sessions.give_back(taken)
    other = SharedSessions()
    other.told(sessions.take(10), 2.0)
    assert other.recall("a", 2.0) == instruct(2.0)
    assert other.recall("b", 2.0) == thinking(2.0)


def test_memory_is_bounded_while_nobody_listens():
    sessions = SharedSessions(capacity=10)
    for i in range(1000):
        sessions.remember(("t", i), thinking(1.0))
    assert len(sessions) == 10
    assert len(sessions.take(1000)) == 10 * ENTRY_BYTES


@pytest.mark.parametrize("entries", [b"", b"x", b"x" * 16, b"x" * 16 + b"\xff", b"x" * 40])
def test_nonsense_is_ignored(entries):
    sessions = SharedSessions()
    sessions.told(entries, 1.0)
    assert len(sessions) == 0


def test_names_are_the_same_in_every_process_and_tell_nothing():
    code = (
        "from app.state.stable import digest, stable_hash\n"
        "print(digest(('t', 'my session')).hex(), stable_hash((3, 'a')))"
    )
    told = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)}
    assert told == {f"{digest(('t', 'my session')).hex()} {stable_hash((3, 'a'))}\n"}
    assert b"session" not in digest(("t", "my session"))


def test_an_openings_hash_reads_the_ends_of_long_texts():
    long = "a" * 100_000
    assert stable_hash((0, long)) == stable_hash((0, long))
    others = ("b" + long[1:], long[:-1] + "b", long + "a", "\ud800" + long)
    assert len({stable_hash((0, text)) for text in (long, *others)}) == 5
    assert stable_hash((0, "a")) != stable_hash((1, "a"))
    assert 0 <= stable_hash((1 << 63, "")) < 1 << 63
