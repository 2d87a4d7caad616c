"""Pools: which replica is next, how replicas come and go, what a reload keeps."""

import time

import pytest

from app.pools.pool import Pool
from app.settings import Health, Timeouts
from app.settings import Pool as Settings


def pool(count: int = 3, **changes) -> Pool:
    urls = [f"http://10.0.0.{i}:8000" for i in range(1, count + 1)]
    settings = Settings(**{"model": "m", "replicas": urls, **changes})
    return Pool("p", settings, Timeouts(), seed=1, health=Health(eject_after=2, eject_s=0.05))


def chosen(of: Pool, times: int = 200, **options) -> set[int]:
    return {replica.place for _ in range(times) if (replica := of.choose(**options)) is not None}


def test_all_that_are_well_are_chosen():
    assert chosen(pool()) == {0, 1, 2}


def test_one_that_is_down_is_left_out_until_a_check_finds_it_up():
    p = pool()
    p.replicas[1].checked(False)
    assert chosen(p) == {0, 2}
    assert p.up
    p.replicas[1].checked(True)
    assert chosen(p) == {0, 1, 2}


def test_where_all_are_down_one_is_tried_all_the_same():
    p = pool()
    for replica in p.replicas:
        replica.checked(False)
    assert not p.up
    assert chosen(p) == {0, 1, 2}


def test_those_already_tried_are_left_out():
    p = pool()
    assert chosen(p, tried=p.replicas[:2]) == {2}
    assert p.choose(p.replicas) is None


def test_one_that_fails_is_left_alone_and_then_one_request_tries_it():
    p = pool()
    bad = p.replicas[0]
    assert [bad.failed(), bad.failed()] == [False, True]
    assert chosen(p) == {1, 2}
    time.sleep(0.06)
    assert p.choose() is bad
    assert chosen(p) == {1, 2}, "others wait for the end of the trial"
    bad.answering()
    assert chosen(p) == {0, 1, 2}
    assert bad.failed(), "on probation: one failure is enough"
    assert chosen(p) == {1, 2}


def test_one_whose_trial_ends_well_is_trusted_again():
    p = pool()
    bad = p.replicas[0]
    bad.failed()
    bad.failed()
    bad.answering()
    bad.succeeded()
    assert not bad.failed()
    assert bad.well


def test_a_replica_that_is_down_is_not_tried_by_the_breaker():
    p = pool()
    bad = p.replicas[0]
    bad.failed()
    bad.failed()
    bad.checked(False)
    time.sleep(0.06)
    assert chosen(p) == {1, 2}
    bad.checked(True)
    assert not bad.well, "a health check does not undo what requests have found"
    assert p.choose() is bad


def test_a_replica_with_all_its_connections_in_use_is_never_chosen():
    p = pool(2, max_connections=2)
    p.replicas[0].in_flight = 2
    assert chosen(p) == {1}
    p.replicas[1].in_flight = 2
    assert p.choose() is None
    assert pool(1, max_connections=1).choose() is not None


def test_a_limit_of_connections_is_a_limit_of_the_pool():
    p = pool(3, max_connections=2)
    assert p.places is not None
    assert p.places.capacity() == 6
    p.replicas[0].checked(False)
    assert p.places.capacity() == 4
    assert pool(3, max_connections=2, max_in_flight=5).places.capacity() == 5
    assert pool(3).places is None


def test_a_longer_queue_at_the_backend_is_avoided():
    p = pool(2)
    p.replicas[0].queue_seen(running=10, waiting=5)
    p.replicas[1].queue_seen(running=10, waiting=0)
    assert chosen(p) == {1}


def test_what_is_in_flight_here_is_not_counted_twice():
    replica = pool(1).replicas[0]
    replica.in_flight = 8
    replica.queue_seen(running=8, waiting=0)
    assert replica.load_beyond == 0
    replica.queue_seen(running=20, waiting=0)
    assert replica.load_beyond == 12


# ---------------------------------------------------------------------------------------- replicas come and go


def names(of: Pool) -> list[str]:
    return sorted(replica.address for replica in of.replicas)


def test_addresses_of_a_name_become_replicas_and_keep_what_is_known():
    p = pool(1, resolve_s=10)
    url = p.settings.replicas[0]
    assert p.resolved([(url, "1.1.1.1"), (url, "2.2.2.2")])
    assert names(p) == ["1.1.1.1", "2.2.2.2"]
    known = next(r for r in p.replicas if r.address == "2.2.2.2")
    known.in_flight = 3
    gone = next(r for r in p.replicas if r.address == "1.1.1.1")
    gone.in_flight = 1
    assert p.resolved([(url, "2.2.2.2"), (url, "3.3.3.3")])
    assert names(p) == ["2.2.2.2", "3.3.3.3"]
    assert known in p.replicas
    assert gone.retired
    assert p.in_flight == 4, "what is in flight at one that leaves still counts"
    assert sorted(r.place for r in p.replicas) == [0, 1], "places are used again: a bounded label"


def test_the_same_addresses_again_change_nothing():
    p = pool(1, resolve_s=10)
    url = p.settings.replicas[0]
    p.resolved([(url, "1.1.1.1"), (url, "2.2.2.2")])
    before = p.replicas
    assert not p.resolved([(url, "2.2.2.2"), (url, "1.1.1.1"), (url, "1.1.1.1")])
    assert p.replicas is before


def test_no_addresses_at_all_leave_the_pool_as_it_was():
    p = pool(2, resolve_s=10)
    assert not p.resolved([])
    assert len(p.replicas) == 2


def reloaded(old: Pool, **changes) -> Pool:
    timeouts, health = changes.pop("timeouts", Timeouts()), Health(eject_after=2, eject_s=0.05)
    new = Pool("p", old.settings.model_copy(update=changes), timeouts, health=health)
    new.succeed(old)
    return new


def test_a_reload_keeps_replicas_that_stay_and_lets_the_others_finish():
    old = pool(3)
    old.replicas[0].in_flight = 1
    old.replicas[2].in_flight = 2
    old.replicas[2].checked(False)
    before = old.replicas
    new = reloaded(old, replicas=["http://10.0.0.9:8000", old.settings.replicas[2]])
    assert new.replicas[1] is before[2]
    assert [r.place for r in new.replicas] == [0, 1]
    assert [r.retired for r in before] == [True, True, False]
    assert old.replicas is new.replicas, "requests that began by the old configuration find the new replicas"
    assert new.in_flight == 3
    before[0].in_flight = 0
    assert new.in_flight == 2


@pytest.mark.parametrize("change", [{"api_key": "other"}, {"timeouts": Timeouts(connect_s=1)}])
def test_a_reload_that_changes_how_replicas_are_asked_makes_them_anew(change):
    old = pool(2)
    if "api_key" in change:
        change = {"api_key": Settings(model="m", replicas=["http://x"], api_key="other").api_key}
    before = old.replicas
    new = reloaded(old, **change)
    assert not set(new.replicas) & set(before)
    assert all(r.retired for r in before)


async def test_a_reload_keeps_the_queue():
    old = pool(1, max_in_flight=1)
    assert old.places is not None
    old.places.in_use = 1
    new = reloaded(old, max_in_flight=3)
    assert new.places is old.places
    assert new.places.capacity() == 3
    assert reloaded(new, max_in_flight=None).places is None


def test_a_reload_keeps_looked_up_replicas_until_the_next_look_up():
    old = pool(1, resolve_s=10)
    old.resolved([(old.settings.replicas[0], "1.1.1.1")])
    before = old.replicas
    assert reloaded(old, model="other").replicas == before


# ---------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x/v1", "http://u:p@x", "http://x:99999", "x:80"])
def test_addresses_that_are_none_are_refused(url):
    with pytest.raises(ValueError, match="http"):
        Settings(model="m", replicas=[url])


def test_tls_settings_without_https_are_refused():
    with pytest.raises(ValueError, match="https"):
        Settings(model="m", replicas=["http://x"], tls={"ca": "/x"})


def test_a_retry_earns_no_other():
    p = pool(2)
    first = p.choose()
    assert p.retry_budget.requests == 1
    p.choose([first])
    assert p.retry_budget.requests == 1
