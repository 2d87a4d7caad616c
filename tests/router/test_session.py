"""The memory of sessions: bounded in number and in time."""

from router.mode import Mode
from router.session import MemorySessions, SessionState


def test_a_remembered_session_is_recalled():
    sessions = MemorySessions()
    sessions.remember("a", SessionState(Mode.THINKING, 0.0))
    assert sessions.recall("a", 1.0).mode is Mode.THINKING
    assert sessions.recall("b", 1.0) is None


def test_the_last_decision_is_the_one_that_counts():
    sessions = MemorySessions()
    sessions.remember("a", SessionState(Mode.THINKING, 0.0))
    sessions.remember("a", SessionState(Mode.INSTRUCT, 1.0))
    assert sessions.recall("a", 2.0).mode is Mode.INSTRUCT
    assert len(sessions) == 1


def test_a_session_is_forgotten_after_its_time_to_live_and_not_before():
    sessions = MemorySessions(ttl_s=10)
    sessions.remember("a", SessionState(Mode.THINKING, 100.0))
    assert sessions.recall("a", 110.0) is not None
    assert sessions.recall("a", 110.5) is None
    assert len(sessions) == 0


def test_the_least_recently_used_session_goes_first():
    sessions = MemorySessions(capacity=2)
    for key in ("a", "b", "a", "c"):
        sessions.remember(key, SessionState(Mode.THINKING, 0.0))
    assert sessions.recall("b", 0.0) is None
    assert sessions.recall("a", 0.0) is not None
    assert sessions.recall("c", 0.0) is not None
    assert len(sessions) == 2
