"""Two gateways that share by a real Redis server: sessions, limits, and what happens without it."""

import asyncio
import signal
import time

import pytest

from app.limits.ledgers import Ledgers
from app.limits.settings import Limits
from app.metrics import Meters
from app.state.sessions import SharedSessions
from app.state.settings import State
from app.state.sharing import Sharing
from app.state.stable import digest, stable_hash
from app.state.window import SharedWindow
from tests.app.conftest import soon, start, way  # noqa: F401 - fixtures

TALK = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
]
KEYS = {"keys": [{"key": "key-a", "tenant": "a"}]}
KEY = {"authorization": "Bearer key-a"}


def slack(limit, since_s):
    """What a window of a minute lets go again while a test runs, with one for its rounding."""
    return 1 + limit * (time.monotonic() - since_s) / 60


def sharing(redis, **more):
    return {"state": {"url": redis.url, "interval_ms": 20, **more}}


async def exchanged(*gateways):
    """Waits until each has told and heard everything that there was when this began."""
    for _ in range(2):
        since_s = time.monotonic()
        for gateway in gateways:
            last_s = lambda g=gateway: g.app.shared.sharing._last_s  # noqa: E731
            assert await soon(lambda last_s=last_s, since_s=since_s: last_s() > since_s + 0.05, 60)


async def mode(gateway, session=None, messages=TALK, **fields):
    headers = {"x-session-id": session} if session else {}
    answer = await gateway.chat(headers, messages=messages, **fields)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]


# ---------------------------------------------------------------------- sessions


@pytest.mark.parametrize("session", ["conversation-1", None])
async def test_a_session_that_was_begun_on_one_gateway_is_known_on_the_other(start, redis, session):  # noqa: F811
    near = {"profiles": {"default": {"threshold": 0.5, "session_margin": 0.2}}}
    one = await start(score=0.9, **near, **sharing(redis))
    other = await start(score=0.45, **near, **sharing(redis))
    stranger = await start(score=0.45, **near, **sharing(redis, prefix="another"))
    assert await mode(one, session, TALK[:1]) == ("thinking", "judge")
    # What gateways agree on must not be a hash that is each process's own.
    name = ("default", session or stable_hash((0, TALK[0]["content"])))
    assert list(one.app.shared.sessions._states) == [digest(name)]
    known = lambda: len(other.app.shared.sessions) == 1  # noqa: E731
    assert await soon(known, 60)
    assert await mode(other, session) == ("thinking", "session")
    assert await mode(stranger, session) == ("instruct", "judge")


async def test_a_gateway_that_starts_later_knows_what_was_before(start, redis):  # noqa: F811
    near = {"profiles": {"default": {"threshold": 0.5, "session_margin": 0.2}}}
    one = await start(score=0.9, **near, **sharing(redis))
    for i in range(50):
        await mode(one, f"s{i}", TALK[:1])
    await exchanged(one)
    late = await start(score=0.45, **near, **sharing(redis))
    assert await soon(lambda: len(late.app.shared.sessions) == 50, 60)
    assert await mode(late, "s49") == ("thinking", "session")
    ages = [time.monotonic() - state.at_s for state in late.app.shared.sessions._states.values()]
    assert min(ages) >= 0
    assert max(ages) < 110  # not older than the test


# ---------------------------------------------------------------------- limits


async def test_a_limit_of_requests_holds_over_both(start, redis):  # noqa: F811
    tenants = {"tenants": {"a": {"limits": {"requests_per_minute": 20}}}}
    gateways = [await start(auth=KEYS, **tenants, **sharing(redis)) for _ in range(2)]
    await exchanged(*gateways)
    statuses, since_s = [], time.monotonic()
    for i in range(60):  # one after the other: between two there is time to tell
        statuses.append((await gateways[i % 2].chat(KEY)).status_code)
        if i % 5 == 4:
            await exchanged(*gateways)
    served = statuses.count(200)
    assert set(statuses) == {200, 429}
    assert 20 <= served <= 20 + 5 + slack(20, since_s)  # what came between two exchanges may be too much
    assert statuses[30:].count(200) <= slack(20, since_s)


async def test_a_flood_of_both_at_once_gets_no_more_than_what_each_serves_between_two_exchanges(start, redis):  # noqa: F811
    tenants = {"tenants": {"a": {"limits": {"requests_per_minute": 30}}}}
    gateways = [await start(auth=KEYS, **tenants, **sharing(redis)) for _ in range(2)]
    await exchanged(*gateways)
    since_s = time.monotonic()
    answers = await asyncio.gather(*(gateways[i % 2].chat(KEY) for i in range(120)))
    first = sum(answer.status_code == 200 for answer in answers)
    assert 30 <= first <= 60 + slack(60, since_s)  # never less than is allowed, never more than each alone
    await exchanged(*gateways)
    answers = await asyncio.gather(*(gateways[i % 2].chat(KEY) for i in range(120)))
    assert sum(answer.status_code == 200 for answer in answers) <= slack(60, since_s)


async def test_tokens_and_flights_are_counted_together(redis):
    limits = Limits(tokens_per_hour=100, thinking_tokens_per_hour=50, concurrent=3)
    made = []
    for _ in range(2):
        ledgers = Ledgers(SharedWindow)
        made.append(Sharing(State(url=redis.url), SharedSessions(), ledgers, Meters().state_errors))
        ledgers.ledger("k", limits, "t", {})
    one, other = (s._ledgers.ledger("k", limits, "t", {}) for s in made)
    for s in made * 2:
        await s.exchange()
    one.use(60, 60, time.monotonic())
    one.begin()
    one.begin()
    other.use(30, 0, time.monotonic())
    for s in made * 2:
        await s.exchange()
    for ledger in (one, other):
        assert not ledger.may_think(time.monotonic())
        windows = dict(ledger.accounts[0].windows())
        assert windows["tokens-hour"].used(time.monotonic()) == 90
    assert other.accounts[0].elsewhere == 2
    other.begin()
    with pytest.raises(Exception, match="3 requests at once"):
        other.begin()
    one.end()
    one.end()
    for s in made * 2:
        await s.exchange()
    assert other.accounts[0].elsewhere == 0
    for s in made:
        await s.stop()


async def test_what_a_gateway_that_was_killed_had_in_flight_is_forgotten(redis, monkeypatch):
    monkeypatch.setattr("app.state.sharing.ALIVE_S", 0.3)
    made = []
    for _ in range(2):
        ledgers = Ledgers(SharedWindow)
        made.append(Sharing(State(url=redis.url), SharedSessions(), ledgers, Meters().state_errors))
        ledgers.ledger("k", Limits(concurrent=3), "t", {}).begin()
    for s in made * 2:
        await s.exchange()
    account = next(a for _, a in made[1]._ledgers.accounts())
    assert account.elsewhere == 1
    await asyncio.sleep(0.5)  # one says nothing any more
    await made[1].exchange()
    assert account.elsewhere == 0
    for s in made:
        await s.stop()


async def test_what_a_gateway_had_in_flight_is_forgotten_too_where_the_servers_clock_was_set_back_since(redis):
    made = []
    for _ in range(2):
        ledgers = Ledgers(SharedWindow)
        made.append(Sharing(State(url=redis.url), SharedSessions(), ledgers, Meters().state_errors))
        ledgers.ledger("k", Limits(concurrent=3), "t", {}).begin()
    for s in made * 2:
        await s.exchange()
    account = next(a for _, a in made[1]._ledgers.accounts())
    assert account.elsewhere == 1
    gone = made[0]  # its last word is of an hour that is yet to come
    await gone._redis.hset(f"{gone._base}:alive", gone._me, f"{time.time() + 3600:.3f}")
    await made[1].exchange()
    assert account.elsewhere == 0
    for s in made:
        await s.stop()


async def test_a_counter_is_of_all_gateways(redis):
    made = [Sharing(State(url=redis.url), SharedSessions(), Ledgers(SharedWindow), Meters().state_errors) for _ in "ab"]
    counters = [s.counter("thinking", 3600.0) for s in made]
    for s in made * 2:
        await s.exchange()
    counters[0].add(3, time.monotonic())
    counters[1].add(4, time.monotonic())
    for s in made * 2:
        await s.exchange()
    assert [c.used(time.monotonic()) for c in counters] == [7, 7]
    for s in made:
        await s.stop()


# ---------------------------------------------------------------------- trouble


async def test_no_request_fails_while_redis_is_killed_frozen_and_restarted(start, redis, caplog):  # noqa: F811
    tenants = {"tenants": {"a": {"limits": {"requests_per_minute": 10**6, "concurrent": 1000}}}}
    gateways = [await start(auth=KEYS, **tenants, **sharing(redis, timeout_ms=100)) for _ in range(2)]
    await exchanged(*gateways)
    served, stop = [0, 0], asyncio.Event()

    async def load(i):
        while not stop.is_set():
            answer = await gateways[i].chat({**KEY, "x-session-id": f"s{served[i] % 50}"}, messages=TALK)
            assert answer.status_code == 200, answer.text
            served[i] += 1

    async def more(n=30):
        seen = list(served)
        assert await soon(lambda: all(now > before + n for now, before in zip(served, seen, strict=True)), 60)

    def behind():
        return [g.app.shared.sharing._well for g in gateways]

    clients = [asyncio.create_task(load(i)) for i in (0, 0, 1, 1)]
    try:
        await more()
        redis.kill()
        assert await soon(lambda: behind() == [False] * 2, 60)
        await more()
        redis.start()
        assert await soon(lambda: behind() == [True] * 2, 60)
        await more()
        redis.signal(signal.SIGSTOP)
        assert await soon(lambda: behind() == [False] * 2, 60)
        await more()
        redis.signal(signal.SIGCONT)
        assert await soon(lambda: behind() == [True] * 2, 60)
    finally:
        stop.set()
        done = await asyncio.gather(*clients, return_exceptions=True)
    assert done == [None] * 4
    for gateway in gateways:
        assert (
            sum([await gateway.metric("thinkgate_state_errors_total", kind=k) for k in ("connection", "timeout")]) >= 2
        )
    assert caplog.text.count("Redis cannot be used") == 4
    assert caplog.text.count("Redis is used again") == 4
    await exchanged(*gateways)
    used = [
        next(dict(a.windows())["requests"] for n, a in g.app.shared.ledgers.accounts() if n[1] == "a") for g in gateways
    ]
    now_s = time.monotonic()
    assert used[0].used(now_s) == pytest.approx(used[1].used(now_s), rel=0.02)
    assert used[0].mine + used[0].mine_before < used[0]._now + used[0]._before  # of both


async def test_what_was_used_is_known_again_to_a_server_that_has_lost_it(start, redis):  # noqa: F811
    tenants = {"tenants": {"a": {"limits": {"requests_per_minute": 10}}}}
    gateways = [await start(auth=KEYS, **tenants, **sharing(redis)) for _ in range(2)]
    await exchanged(*gateways)
    since_s = time.monotonic()
    for _ in range(10):
        assert (await gateways[0].chat(KEY)).status_code == 200
    await exchanged(*gateways)
    redis.kill()
    redis.start()
    await exchanged(*gateways)
    assert await soon(lambda: all(g.app.shared.sharing._well for g in gateways), 60)
    fresh = await start(auth=KEYS, **tenants, **sharing(redis))
    await exchanged(*gateways, fresh)
    assert sum([(await fresh.chat(KEY)).status_code == 200 for _ in range(5)]) <= slack(10, since_s)


async def test_without_redis_each_gateway_counts_for_itself_and_says_so(start, redis, caplog):  # noqa: F811
    redis.kill()
    tenants = {"tenants": {"a": {"limits": {"requests_per_minute": 5}}}}
    gateway = await start(auth=KEYS, **tenants, **sharing(redis))
    since_s = time.monotonic()
    statuses = [(await gateway.chat(KEY)).status_code for _ in range(20)]
    assert 5 <= statuses.count(200) <= 5 + slack(5, since_s)
    assert await soon(lambda: "Redis cannot be used" in caplog.text, 60)
    assert await gateway.metric("thinkgate_state_behind_seconds") > 0
    assert str(redis.port) not in caplog.text.replace("http", "")


async def test_a_server_that_refuses_is_no_reason_to_fail_and_its_password_is_not_told(start, redis, caplog):  # noqa: F811
    url = redis.url.replace("redis://", "redis://:hunter2@")  # this server has no password: it refuses one
    gateway = await start(state={"url": url, "interval_ms": 20})
    assert (await gateway.chat()).status_code == 200
    assert await soon(lambda: "Redis cannot be used" in caplog.text, 60)
    assert "hunter2" not in caplog.text
