"""Two gateways whose controllers act together by a real Redis server; and what happens without it."""

import asyncio

import pytest
from redis.exceptions import RedisError

from app.limits.ledgers import Ledgers
from app.metrics import Meters
from app.policies.policies import Policies
from app.state.sessions import SharedSessions
from app.state.settings import State
from app.state.sharing import Sharing
from app.state.window import SharedWindow
from router.policies.think_ratio import ThinkRatio
from router.policies.token_budget import TokenBudget
from router.profile import Profile
from tests.app.conftest import soon, start, way  # noqa: F401 - fixtures

RATIO = {"default": {"threshold": 0.5, "think_ratio": {"target": 0.3, "window": 40}}}
BUDGET = {"default": {"threshold": 0.5, "token_budget": {"thinking_tokens_per_hour": 100_000}}}


def sharing(redis, **more):
    return {"state": {"url": redis.url, "interval_ms": 20, **more}}


def policies(redis, **profile):
    """One gateway's controllers, and what they share by."""
    made = Policies([Profile(**profile)])
    shared = Sharing(State(url=redis.url), SharedSessions(), Ledgers(SharedWindow), Meters().state_errors)
    shared.controllers = made.peers
    return made._controls["default"], shared


async def exchange(*sharings):
    for shared in sharings * 2:
        await shared.exchange()


async def stop(*sharings):
    for shared in sharings:
        await shared.stop()


async def test_every_step_is_taken_by_all_once(redis):
    made = [policies(redis, think_ratio=ThinkRatio(0.3, 500)) for _ in range(3)]
    controls, sharings = [c for c, _ in made], [s for _, s in made]
    await exchange(*sharings)
    for _ in range(20):
        controls[0].ratio.judged(True)
    await exchange(*sharings)
    after = [c.ratio.base for c in controls]
    assert after[0] > 0.55
    assert after[1] == after[2] == pytest.approx(after[0], abs=0.02)
    for _ in range(200):  # nothing new is said: nothing moves but nearer together
        await exchange(*sharings)
    assert [c.ratio.base for c in controls] == pytest.approx([sum(after) / 3] * 3, abs=0.01)
    await stop(*sharings)


async def test_one_that_starts_later_begins_where_the_others_are(redis):
    one, its = policies(redis, think_ratio=ThinkRatio(0.3, 50))
    for _ in range(100):
        one.ratio.judged(True)
    await exchange(its)
    found = one.ratio.base
    other, others = policies(redis, think_ratio=ThinkRatio(0.3, 50))
    await exchange(others, its)
    assert other.ratio.base == pytest.approx(found, abs=0.01)
    assert one.ratio.base == pytest.approx(found, abs=0.01)
    stranger, strangers = policies(redis, think_ratio=ThinkRatio(0.4, 50))  # another policy of the same name
    await exchange(strangers, its)
    assert stranger.ratio.base == 0.5
    await stop(its, others, strangers)


async def test_a_budget_is_one_store(redis):
    made = [policies(redis, token_budget=TokenBudget(per_hour=100_000)) for _ in range(2)]
    (one, its), (other, others) = made
    await exchange(its, others)
    taken = one.thinking_began(its._last_s)
    await exchange(its, others)
    assert other._pacers[3600.0].room(its._last_s) < 0.91  # expected, and not known yet
    one.thinking_ended(taken, 4000, its._last_s)
    other.thinking_ended((), 4000, its._last_s)
    await exchange(its, others)
    for controls in (one, other):
        assert 0.19 < controls._pacers[3600.0].room(its._last_s) < 0.3
        assert controls.in_force(its._last_s).raised
    late, lates = policies(redis, token_budget=TokenBudget(per_hour=100_000))
    await exchange(lates)
    assert late.in_force(its._last_s).raised  # it brings no full store of its own
    await stop(its, others, lates)


async def test_a_server_that_has_lost_everything_moves_nothing(redis):
    (one, its), (other, others) = [
        policies(redis, think_ratio=ThinkRatio(0.3, 500), token_budget=TokenBudget(per_hour=100_000)) for _ in range(2)
    ]
    for _ in range(30):
        one.ratio.judged(True)
    one.thinking_ended((), 3000, its._last_s)
    await exchange(its, others)
    before = [(c.ratio.base, c._pacers[3600.0].tell(its._last_s)) for c in (one, other)]
    redis.kill()
    with pytest.raises(RedisError):
        await its.exchange()
    one.ratio.judged(True)
    redis.start()
    await exchange(its, others)
    for (base, (spent, level)), controls in zip(before, (one, other), strict=True):
        assert controls.ratio.base == pytest.approx(base, abs=0.02)
        now_spent, now_level = controls._pacers[3600.0].tell(its._last_s)
        assert now_spent == spent
        assert now_level == pytest.approx(level, abs=50)
    assert other.ratio._judged == 0
    await stop(its, others)


async def test_two_gateways_meet_one_target_together_also_after_redis_was_away(start, redis):  # noqa: F811
    """One is asked what needs thinking, the other what does not: alone, each would think three times in ten."""
    hard = await start(score=0.8, profiles=RATIO, **sharing(redis))
    easy = await start(score=0.3, profiles=RATIO, **sharing(redis))

    def bases():
        return [g.app.planner.policies._controls["default"].ratio.base for g in (hard, easy)]

    def agree():
        one, other = bases()
        return abs(one - other) < 0.05

    async def share(rounds):
        thought = []
        for _ in range(rounds):
            answers = await asyncio.gather(*(g.chat() for g in (hard, easy)))
            assert {a.status_code for a in answers} == {200}
            thought += [a.headers["x-thinkgate-mode"] == "thinking" for a in answers]
            await asyncio.sleep(0.01)
        return sum(thought) / len(thought)

    await share(150)
    assert await soon(agree, 60)
    assert 0.2 < await share(100) < 0.4
    redis.kill()
    assert await soon(lambda: not hard.app.shared.sharing._well and not easy.app.shared.sharing._well, 60)
    assert await hard.metric("thinkgate_state_behind_seconds") > 0
    await share(30)  # nothing fails
    redis.start()
    assert await soon(lambda: hard.app.shared.sharing._well and easy.app.shared.sharing._well, 60)
    await share(150)
    assert await soon(agree, 60)
    assert 0.2 < await share(100) < 0.4


async def test_a_budget_holds_over_two_gateways(start, redis):  # noqa: F811
    one, other = [await start(score=0.9, profiles=BUDGET, **sharing(redis)) for _ in range(2)]
    assert (await other.chat()).headers["x-thinkgate-mode"] == "thinking"
    pacer = one.app.planner.policies._controls["default"]._pacers[3600.0]
    pacer.settle(0.0, 12_000, asyncio.get_running_loop().time())
    level = lambda: other.app.planner.policies._controls["default"]._pacers[3600.0]._level  # noqa: E731
    assert await soon(lambda: level() < 0, 60)
    answer = await other.chat()
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("instruct", "budget")


async def test_a_reload_goes_on_where_it_was(start, redis):  # noqa: F811
    one, other = [await start(score=0.9, profiles=BUDGET, **sharing(redis)) for _ in range(2)]
    sharings = [g.app.shared.sharing for g in (one, other)]
    pacer = lambda g: g.app.planner.policies._controls["default"]._pacers[3600.0]  # noqa: E731
    pacer(one).settle(0.0, 3000, asyncio.get_running_loop().time())
    assert await soon(lambda: pacer(other).room(asyncio.get_running_loop().time()) < 0.75, 60)
    one.app.apply(one.app.settings, one.app.router.judge)
    since_s = asyncio.get_running_loop().time()
    assert await soon(lambda: all(s._last_s > since_s for s in sharings), 60)
    for gateway in (one, other):
        assert 0.65 < pacer(gateway).room(asyncio.get_running_loop().time()) < 0.95  # counted once
