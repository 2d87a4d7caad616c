"""Load shedding and token budgets in the real gateway: pressure and tokens come from what it sees, and are told."""

import asyncio
from time import monotonic

import pytest

from app.policies.pressure import pressure_of
from tests.app.answers import sse
from tests.app.conftest import soon
from tests.app.scripted_upstream import stream, whole
from tests.app.test_reload import apply

SHEDS = {"load_shedding": {"margin": 0.4, "start": 0.5, "full": 1.0, "attack_s": 1e-6, "release_s": 1e-6}}


def profile(**fields):
    return {"profiles": {"default": fields}}


async def test_under_load_judged_requests_near_the_threshold_are_answered_without_thinking(start):
    gateway = await start(score=0.6, **profile(**SHEDS, threshold=0.5))
    gateway.app.pools["deep"].replicas[0].queue_seen(running=4, waiting=8, cache=0.2)
    await gateway.chat()  # the margin follows with a lag
    answer = await gateway.chat()
    routing = answer.json()["routing"]
    assert (routing["mode"], routing["reason"]) == ("instruct", "load")
    assert routing["because"] == "the thinking pool is under load: the threshold is 0.9 instead of 0.5"
    assert routing["threshold"] == 0.9
    assert answer.headers["x-thinkgate-threshold"] == "0.9"
    assert await gateway.metric("thinkgate_threshold_margin", profile="default", cause="load") == pytest.approx(0.4)
    labels = {"mode": "instruct", "reason": "load", "judge": "constant@1", "profile": "default"}
    assert await gateway.metric("thinkgate_decisions_total", **labels) >= 1
    dry = await gateway.post("/v1/route", {"model": "auto", "messages": [{"role": "user", "content": "hello"}]})
    assert (dry.json()["reason"], dry.json()["threshold"]) == ("load", 0.9)


async def test_explicit_requests_think_under_any_load(start):
    gateway = await start(score=0.6, **profile(**SHEDS))
    gateway.app.pools["deep"].replicas[0].queue_seen(running=4, waiting=80, cache=1)
    await gateway.chat()
    for fields in ({"model": "auto-thinking"}, {"enable_thinking": True}):
        assert (await gateway.chat(**fields)).headers["x-thinkgate-mode"] == "thinking"


async def test_when_the_load_is_gone_the_threshold_is_the_profiles_again(start):
    gateway = await start(score=0.6, **profile(**SHEDS))
    replica = gateway.app.pools["deep"].replicas[0]
    replica.queue_seen(running=4, waiting=8, cache=0.2)
    await gateway.chat()
    await gateway.chat()
    replica.queue_seen(running=4, waiting=0, cache=0.2)
    await gateway.chat()
    answer = await gateway.chat()
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-threshold"]) == ("thinking", "0.5")


async def test_pressure_is_of_places_queue_and_the_backends_own_word(start):
    gateway = await start(score=0.9)
    pool, replica = gateway.app.pools["deep"], gateway.app.pools["deep"].replicas[0]
    assert pressure_of(pool) == 0
    replica.queue_seen(running=4, waiting=2, cache=0.6)
    assert pressure_of(pool) == 0.6
    replica.queue_seen(running=4, waiting=16, cache=0.6)
    assert pressure_of(pool) == 2
    replica.up = False
    assert pressure_of(pool) == 0


async def test_places_and_the_queue_are_pressure(start):
    gateway = await start(score=0.9)
    deep = {"model": "thinking", "replicas": [gateway.deep.url], "max_in_flight": 2}
    apply(gateway, pools={"deep": deep}, judge={"score": 0.9})
    go = asyncio.Event()

    async def waits(turn):
        await go.wait()
        return await whole()(turn)

    gateway.deep.then(waits, waits, waits)
    asked = [asyncio.create_task(gateway.chat()) for _ in range(3)]
    pool = gateway.app.pools["deep"]
    assert await soon(lambda: pressure_of(pool) == 1.5, 2)
    go.set()
    await asyncio.gather(*asked)
    assert pressure_of(pool) == 0


async def test_a_budget_that_is_used_up_answers_judged_requests_without_thinking(start):
    budget = {"token_budget": {"thinking_tokens_per_hour": 10_000}}
    gateway = await start(score=0.6, **profile(**budget))
    first = await gateway.chat()
    assert first.headers["x-thinkgate-mode"] == "thinking"
    controls = gateway.app.planner.policies.of(gateway.app.planner.profiles["default"])
    assert controls is not None
    controls.thinking_ended((), 5000, monotonic())  # another one's
    answer = await gateway.chat()
    routing = answer.json()["routing"]
    assert (routing["mode"], routing["reason"]) == ("instruct", "budget")
    assert routing["because"] == "thinking tokens run low: the threshold is 1.01 instead of 0.5"
    assert (await gateway.chat(model="auto-thinking")).headers["x-thinkgate-mode"] == "thinking"
    assert await gateway.metric("thinkgate_threshold_margin", profile="default", cause="budget") == pytest.approx(1.01)


@pytest.mark.parametrize("streams", [False, True])
async def test_what_was_expected_is_settled_by_what_was_thought(start, streams):
    gateway = await start(score=0.9, **profile(token_budget={"thinking_tokens_per_hour": 1_000_000}))
    controls = gateway.app.planner.policies.of(gateway.app.planner.profiles["default"])
    (pacer,) = controls._pacers.values()
    gateway.deep.then(stream() if streams else whole("trained_thinking"))
    answer = await gateway.chat(stream=streams)
    assert answer.status_code == 200
    if streams:
        assert any("routing" in event for event in sse(answer.content))
    await gateway.idle()
    thought = await gateway.metric("thinkgate_tokens_total", mode="thinking", kind="reasoning")
    assert thought > 0
    assert pacer.expected == pytest.approx(1000 + (thought - 1000) / 20)
    assert pacer._level == pytest.approx(100_000 - thought, abs=200)  # a moment's refill


async def test_a_client_that_leaves_gives_back_what_it_did_not_think(start):
    gateway = await start(score=0.9, **profile(token_budget={"thinking_tokens_per_hour": 10_000}))
    controls = gateway.app.planner.policies.of(gateway.app.planner.profiles["default"])
    (pacer,) = controls._pacers.values()

    async def silent(turn):
        await turn.wait_gone(5)

    gateway.deep.then(silent)
    client = await gateway.raw()
    await client.ask()
    assert await soon(lambda: len(gateway.deep.requests) == 1, 2)
    assert pacer._level < 500
    client.vanish()
    assert await soon(lambda: pacer._level == 1000, 2)


async def test_a_tenants_own_tokens_raise_its_threshold_as_they_run_low(start):
    gateway = await start(
        score=0.6,
        **profile(token_budget={"tenants": True}),
        tenants={"*": {"limits": {"thinking_tokens_per_hour": 1000}}},
    )
    assert (await gateway.chat()).headers["x-thinkgate-threshold"] == "0.5"
    ledger = gateway.app.may_call("/v1/chat/completions", {}).ledger
    ledger.use(0, 800, monotonic())
    answer = await gateway.chat()
    assert float(answer.headers["x-thinkgate-threshold"]) == pytest.approx(0.5 + 1.01 * 0.36, abs=0.02)
    assert answer.headers["x-thinkgate-reason"] == "budget"
