"""The choice between replicas: load, sessions, and both."""

from collections import Counter
from dataclasses import dataclass

from app.pools.choice import Choice


@dataclass(eq=False)
class Candidate:
    salt: int
    in_flight: int = 0
    load_beyond: float = 0.0


def candidates(count: int) -> list[Candidate]:
    return [Candidate(1000 + i) for i in range(count)]


def test_the_lesser_load_of_two_is_taken():
    a, b = candidates(2)
    a.in_flight = 1
    choice = Choice(seed=1)
    assert all(choice.of([a, b]) is b for _ in range(20))


def test_what_the_backend_has_from_elsewhere_counts_as_load():
    a, b = candidates(2)
    a.load_beyond = 5
    b.in_flight = 3
    assert all(Choice(seed=i).of([a, b]) is b for i in range(20))


def test_a_burst_spreads_evenly():
    many = candidates(8)
    choice = Choice(seed=3)
    for _ in range(800):
        choice.of(many).in_flight += 1
    assert max(c.in_flight for c in many) - min(c.in_flight for c in many) <= 8


def test_a_session_keeps_its_replica():
    many = candidates(5)
    choice = Choice(seed=3)
    for session in range(1, 50):
        assert len({choice.of(many, session).salt for _ in range(10)}) == 1


def test_sessions_spread_over_the_replicas():
    many = candidates(4)
    choice = Choice(seed=3)
    found = Counter(choice.of(many, hash(("session", i))).salt for i in range(4000))
    assert len(found) == 4
    assert min(found.values()) > 800


def test_a_replica_that_goes_moves_only_its_own_sessions():
    many = candidates(5)
    choice = Choice(seed=3)
    before = {session: choice.of(many, session) for session in range(1, 500)}
    gone = many.pop(2)
    for session, was in before.items():
        if was is not gone:
            assert choice.of(many, session) is was


def test_a_session_leaves_a_replica_that_is_clearly_busier():
    a, b = candidates(2)
    choice = Choice(seed=3)
    session = next(s for s in range(1, 100) if choice.of([a, b], s) is a)
    a.in_flight = 4
    assert all(choice.of([a, b], session) is a for _ in range(20)), "a cached prefix is worth some waiting"
    a.in_flight = 20
    assert all(choice.of([a, b], session) is b for _ in range(20))


def test_a_hot_session_does_not_overload_its_replica():
    many = candidates(4)
    choice = Choice(seed=3)
    for _ in range(400):
        choice.of(many, 77).in_flight += 1
    assert max(c.in_flight for c in many) < 150
