"""A pool's places, its queue, and fairness in it."""

import asyncio
import json
import re

import pytest

from app.errors import PoolFull
from tests.app.conftest import both_ways, soon
from tests.app.replicas.holding import NO_FALLBACK, Hold, two
from tests.app.scripted_upstream import error, stream, whole


@pytest.fixture
async def held(start, others):
    """Starts a gateway with a limited pool whose backend holds every answer until it is let go."""
    hold = Hold()

    async def start_held(**limits):
        others[0].default = hold
        settings = limits.pop("settings", {})
        pools = {"fast": {"model": "instruct", "replicas": [others[0].url], **limits}}
        gateway = await start(**{"pools": pools, "profiles": NO_FALLBACK, **settings})
        return gateway, hold

    yield start_held
    hold.go.set()


@both_ways
async def test_a_pool_takes_as_many_as_it_may_and_the_rest_wait(held):
    gateway, hold = await held(max_in_flight=2)
    tasks = [asyncio.create_task(gateway.chat()) for _ in range(6)]
    assert await soon(lambda: hold.reached == 2 and gateway.app.pools["fast"].waiting == 4, 10)
    assert await gateway.metric("thinkgate_waiting", pool="fast") == 4
    await asyncio.sleep(0.05)
    assert hold.reached == 2
    hold.go.set()
    answers = await asyncio.gather(*tasks)
    assert {answer.status_code for answer in answers} == {200}
    waits_ms = [float(re.search(r"queue;dur=([\d.]+)", a.headers["server-timing"])[1]) for a in answers]
    assert sum(wait_ms > 40 for wait_ms in waits_ms) == 4
    assert waits_ms.count(0) == 2
    assert hold.reached == 6
    places = gateway.app.pools["fast"].places
    assert await soon(lambda: places.in_use == 0)
    assert places.waiting == 0


async def test_who_waits_too_long_gets_503_and_when_to_come_back(held):
    gateway, hold = await held(max_in_flight=1, queue_timeout_s=0.3)
    first = asyncio.create_task(gateway.chat())
    assert await soon(lambda: hold.reached == 1, 10)
    answer = await gateway.chat()
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "pool_full"
    assert answer.headers["retry-after"] == "1"
    assert await gateway.metric("thinkgate_shed_total", cause="queue_timeout") == 1
    hold.go.set()
    assert (await first).status_code == 200
    assert (await gateway.chat()).status_code == 200


async def test_a_full_queue_gives_503_at_once(held):
    gateway, hold = await held(max_in_flight=1, queue_size=1)
    tasks = [asyncio.create_task(gateway.chat()) for _ in range(2)]
    assert await soon(lambda: hold.reached == 1 and gateway.app.pools["fast"].waiting == 1, 10)
    answer = await gateway.chat(stream=True)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await gateway.metric("thinkgate_shed_total", cause="queue_full") == 1
    hold.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}


async def test_where_the_profile_allows_the_other_mode_answers_what_does_not_fit(held):
    gateway, hold = await held(max_in_flight=1, queue_size=0, settings={"profiles": {"default": {"fallback": True}}})
    task = asyncio.create_task(gateway.chat())
    assert await soon(lambda: hold.reached == 1, 10)
    answer = await gateway.chat()
    assert (answer.status_code, answer.headers["x-thinkgate-reason"]) == (200, "fallback")
    hold.go.set()
    assert (await task).status_code == 200
    assert gateway.app.pools["fast"].places.in_use == 0


async def test_an_outage_of_the_other_pool_leaves_half_of_the_queue_to_the_pools_own(held):
    own, guest = {"model": "auto-instruct"}, {"model": "auto"}
    settings = {"profiles": {"default": {"fallback": True}}, "judge": {"score": 0.9}}
    gateway, hold = await held(max_in_flight=1, queue_size=2, settings=settings)
    gateway.deep.default = error(500)
    tasks = [asyncio.create_task(gateway.chat(**own))]
    assert await soon(lambda: hold.reached == 1, 10)
    tasks.append(asyncio.create_task(gateway.chat(**guest)))
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 1, 10)
    refused = await gateway.chat(**guest)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "pool_full")
    assert "retry-after" in refused.headers
    tasks.append(asyncio.create_task(gateway.chat(**own)))
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 2, 10)
    hold.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}


async def test_an_outage_of_a_pool_is_answered_by_the_other_whatever_its_retries(start):
    gateway = await start(score=0.9, retries={"share": 0, "at_least": 0})
    gateway.deep.default = error(503)
    answers = [await gateway.chat() for _ in range(30)]
    assert {(a.status_code, a.headers["x-thinkgate-reason"]) for a in answers} == {(200, "fallback")}
    assert len(gateway.fast.requests) == 30, "one attempt each"
    assert await gateway.metric("thinkgate_retries_total") == 0


async def test_where_both_pools_fail_a_request_costs_each_one_attempt(start):
    gateway = await start(score=0.9, replicas=2, retries={"share": 0, "at_least": 0})
    gateway.deep.default = gateway.fast.default = error(503)
    answers = [await gateway.chat() for _ in range(4)]
    assert {a.status_code for a in answers} == {503}
    assert (len(gateway.deep.requests), len(gateway.fast.requests)) == (4, 4)


@both_ways
async def test_a_client_that_leaves_while_it_waits_is_forgotten(held):
    gateway, hold = await held(max_in_flight=1)
    first = asyncio.create_task(gateway.chat())
    assert await soon(lambda: hold.reached == 1, 10)
    raw = await gateway.raw()
    await raw.ask(None)
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 1, 10)
    raw.vanish()
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 0)
    assert await gateway.metric("thinkgate_client_disconnects_total", phase="waiting") == 1
    hold.go.set()
    assert (await first).status_code == 200
    await gateway.idle()
    assert hold.reached == 1
    assert gateway.app.pools["fast"].places.in_use == 0


async def test_a_client_that_leaves_gives_its_place_to_the_next(held):
    gateway, hold = await held(max_in_flight=1)
    raw = await gateway.raw()
    await raw.ask(None)
    assert await soon(lambda: hold.reached == 1, 10)
    waiting = asyncio.create_task(gateway.chat())
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 1, 10)
    raw.vanish()
    assert await soon(lambda: hold.reached == 2)
    hold.go.set()
    assert (await waiting).status_code == 200
    assert gateway.app.pools["fast"].places.in_use == 0


async def test_a_flooding_tenant_waits_behind_itself(held):
    keys = [{"key": "flood", "tenant": "flood"}, {"key": "small", "tenant": "small"}]
    gateway, hold = await held(max_in_flight=1, settings={"auth": {"keys": keys}})
    order: list[str] = []

    async def ask(key):
        answer = await gateway.chat({"authorization": f"Bearer {key}"})
        order.append(key)
        return answer.status_code

    flood = [asyncio.create_task(ask("flood")) for _ in range(20)]
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 19, 10)
    small = asyncio.create_task(ask("small"))
    assert await soon(lambda: gateway.app.pools["fast"].waiting == 20, 10)
    hold.go.set()
    assert set(await asyncio.gather(*flood, small)) == {200}
    assert order.index("small") <= 3


async def test_a_limit_of_connections_holds_for_each_replica(start, others):
    a, b = others
    hold = Hold()
    a.default = b.default = hold
    gateway = await start(pools=two(a, b, max_connections=2), profiles=NO_FALLBACK)
    tasks = [asyncio.create_task(gateway.chat()) for _ in range(10)]
    assert await soon(lambda: hold.reached == 4 and gateway.app.pools["fast"].waiting == 6, 10)
    assert [r.in_flight for r in gateway.app.pools["fast"].replicas] == [2, 2]
    hold.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    assert max(a.connections, b.connections) <= 2
    assert gateway.app.pools["fast"].places.in_use == 0


@pytest.mark.parametrize("streaming", [False, True])
async def test_places_are_given_back_however_a_request_ends(start, others, streaming):
    a, b = others
    gateway = await start(pools=two(a, b, max_in_flight=3), health={"eject_after": 0})

    async def resets(turn):
        turn.reset()

    async def cut(turn):
        await turn.stream_head()
        await turn.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n')

    scripts = [resets, cut, error(500), error(503), error(400), whole(), stream("chat_instruct_stream_usage")]
    for script in scripts * 2:
        a.default = b.default = script
        await asyncio.gather(*(gateway.chat(stream=streaming) for _ in range(8)))
    await gateway.idle()
    assert gateway.app.pools["fast"].places.in_use == 0
    assert gateway.app.pools["fast"].waiting == 0


def test_the_error_of_a_full_pool_can_be_tried_again():
    assert json.loads(PoolFull("x").body())["error"]["type"] == "server_error"
