"""The circuit breaker: when it opens, who may try, how it closes."""

from app.pools.breaker import PROBE_S, Breaker
from app.settings import Health

SETTINGS = Health(eject_after=3, eject_s=5, eject_max_s=20)


def opened(at_s: float = 100.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    assert [breaker.failed(at_s) for _ in range(3)] == [False, False, True]
    return breaker


def test_it_opens_after_so_many_failures_in_a_row():
    breaker = opened()
    assert not breaker.closed
    assert not breaker.may_try(104.9)
    assert breaker.may_try(105.0)


def test_a_success_in_between_begins_the_count_anew():
    breaker = Breaker(SETTINGS)
    breaker.failed(1)
    breaker.failed(2)
    breaker.succeeded(3)
    assert not breaker.failed(4)
    assert not breaker.failed(5)
    assert breaker.closed


def test_one_request_tries_and_others_wait():
    breaker = opened()
    breaker.trying(105.0)
    assert not breaker.may_try(105.1)
    assert breaker.may_try(105.0 + PROBE_S), "a trial without an end does not keep it open for ever"


def test_the_trials_success_closes_it():
    breaker = opened()
    breaker.trying(105.0)
    breaker.succeeded(105.2)
    assert breaker.closed


def test_the_trials_failure_opens_it_for_twice_as_long_up_to_a_limit():
    breaker = opened()
    at_s, waits = 105.0, []
    for _ in range(4):
        breaker.trying(at_s)
        breaker.failed(at_s + PROBE_S)
        wait_s = next(s for s in range(1, 100) if breaker.may_try(at_s + PROBE_S + s))
        waits.append(wait_s)
        at_s += PROBE_S + wait_s
    assert waits == [10, 20, 20, 20]


def test_failures_of_requests_that_were_sent_before_it_opened_do_not_prolong_it():
    breaker = opened()
    for _ in range(50):
        breaker.failed(100.1)
    assert breaker.may_try(105.0)


def test_a_trial_without_a_verdict_lets_the_next_one_try():
    breaker = opened()
    breaker.trying(105.0)
    breaker.given_up(105.5)
    assert breaker.may_try(105.5)


def test_old_troubles_are_forgotten():
    breaker = opened(100.0)
    breaker.succeeded(106.0)
    for _ in range(3):
        breaker.failed(200.0)
    assert breaker.may_try(205.0), "five seconds, as for the first time"


def test_troubles_that_come_back_at_once_count_on():
    breaker = opened(100.0)
    breaker.succeeded(106.0)
    for _ in range(3):
        breaker.failed(107.0)
    assert not breaker.may_try(116.9)
    assert breaker.may_try(117.0)


def test_it_can_be_switched_off():
    breaker = Breaker(Health(eject_after=0))
    assert not any(breaker.failed(float(i)) for i in range(100))
    assert breaker.closed
