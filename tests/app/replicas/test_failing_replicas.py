"""Replicas that fail: passed over, ejected, tried again, and who moves on."""

import asyncio

import pytest

from tests.app.conftest import soon
from tests.app.replicas.holding import NO_FALLBACK, two
from tests.app.scripted_upstream import error, whole


async def test_a_replica_that_fails_again_and_again_is_left_alone_and_tried_later(start, others):
    a, b = others
    a.default = error(503)
    health = {"eject_after": 3, "eject_s": 60}
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK, health=health)
    for i in range(40):
        assert (await gateway.chat(messages=[{"role": "user", "content": str(i)}])).status_code == 200
    assert len(a.requests) == 3
    labels = {"pool": "fast", "replica": "0"}
    assert await gateway.metric("thinkgate_backend_ejected", **labels) == 1
    assert await gateway.metric("thinkgate_backend_up", **labels) == 1
    a.default = whole()
    gateway.app.pools["fast"].replicas[0]._breaker._retry_at_s = 0.0  # its time is over
    for i in range(20):
        assert (await gateway.chat(messages=[{"role": "user", "content": str(i)}])).status_code == 200
    assert len(a.requests) > 4
    assert await gateway.metric("thinkgate_backend_ejected", **labels) == 0


async def test_streams_that_break_off_count_as_failures(start, others):
    a, b = others

    async def breaks(turn):
        await turn.stream_head()
        await turn.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n')
        await asyncio.sleep(0.01)
        turn.reset()

    a.default = breaks
    gateway = await start(pools=two(a, b), health={"eject_after": 2, "eject_s": 60})
    for i in range(30):
        await gateway.chat(stream=True, messages=[{"role": "user", "content": str(i)}])
    assert len(a.requests) == 2


async def test_a_stream_that_begins_with_an_error_each_time_counts_as_failing(start, others):
    a, b = others

    async def apologises(turn):
        await turn.stream_head()
        await turn.chunk(b'data: {"error":{"message":"no","type":"x","param":null,"code":503}}\n\n')
        await turn.send(b"0\r\n\r\n")

    a.default = apologises
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK, health={"eject_after": 2, "eject_s": 60})
    for i in range(30):
        answer = await gateway.chat(stream=True, messages=[{"role": "user", "content": str(i)}])
        assert answer.status_code == 200
    assert len(a.requests) == 2


async def test_the_clients_own_mistakes_do_not_eject_a_replica(start, others):
    a, b = others
    a.default = b.default = error(400)
    gateway = await start(pools=two(a, b), health={"eject_after": 2})
    for _ in range(10):
        assert (await gateway.chat()).status_code == 400
    assert all(replica.well for replica in gateway.app.pools["fast"].replicas)


async def test_retries_are_limited_to_a_share_of_the_requests(start, others):
    a, b = others
    a.default = b.default = error(503)
    retries = {"share": 0, "at_least": 3}
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK, retries=retries, health={"eject_after": 0})
    for _ in range(10):
        assert (await gateway.chat()).status_code == 503
    assert len(a.requests) + len(b.requests) == 13
    assert await gateway.metric("thinkgate_retries_total") == 3


async def test_a_replica_that_cannot_be_connected_to_costs_no_retry(start, others):
    a, b = others
    await a.refuse()
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK, retries={"share": 0, "at_least": 0})
    gateway.app.pools["fast"].replicas[0].checked(True)
    for _ in range(10):
        assert (await gateway.chat()).status_code == 200


@pytest.mark.parametrize("streaming", [False, True])
async def test_requests_at_a_frozen_replica_move_on_when_it_is_found_down(start, others, streaming):
    a, b = others
    frozen = asyncio.Event()

    async def freezes(turn):
        frozen.set()
        await turn.wait_gone(30)

    a.default = freezes
    health = {"interval_s": 0.05, "timeout_s": 0.3, "down_after": 2}
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK, health=health)
    tasks = [
        asyncio.create_task(gateway.chat(stream=streaming, messages=[{"role": "user", "content": str(i)}]))
        for i in range(8)
    ]
    async with asyncio.timeout(30):
        await frozen.wait()
        a.frozen = True
        answers = await asyncio.gather(*tasks)
    assert {answer.status_code for answer in answers} == {200}
    assert len(b.requests) >= 8
    await gateway.idle()
    assert await gateway.metric("thinkgate_upstream_errors_total", pool="fast", kind="lost") >= 1


async def test_requests_at_a_lost_replica_stay_where_there_is_nothing_better_and_go_when_there_is(start, others):
    a, b = others

    async def freezes(turn):
        await turn.wait_gone(30)

    a.default = b.default = freezes
    health = {"interval_s": 3600, "down_after": 1}
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK, health=health)
    first, second = gateway.app.pools["fast"].replicas
    task = asyncio.create_task(gateway.chat())
    assert await soon(lambda: len(a.requests) + len(b.requests) == 1, 10)
    for replica in (first, second):
        replica.checked(False)
        gateway.app._replica_changed(gateway.app.pools["fast"], replica)
    await asyncio.sleep(0.05)
    assert len(a.requests) + len(b.requests) <= 2
    a.default = b.default = whole()
    for replica in (first, second):  # one of them is the other one
        replica.checked(True)
        gateway.app._replica_changed(gateway.app.pools["fast"], replica)
        replica.checked(False)
    assert (await asyncio.wait_for(task, 30)).status_code == 200
    await gateway.idle()


async def test_replicas_that_break_one_after_the_other_do_not_end_a_request(start, others):
    a, b = others
    count = 0

    async def breaks_twice_each(turn):
        nonlocal count
        count += 1
        if count <= 4:
            await asyncio.sleep(0.01)
            turn.reset()
            return None
        return await whole()(turn)

    a.default = b.default = breaks_twice_each
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK)
    assert (await gateway.chat()).status_code == 200
    assert len(a.requests) + len(b.requests) == 5
    await gateway.idle()


async def test_replicas_that_always_break_end_a_request_after_a_few_attempts(start, others):
    a, b = others

    async def resets(turn):
        turn.reset()

    a.default = b.default = resets
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK, health={"eject_after": 0})
    assert (await gateway.chat()).status_code == 502
    assert 2 <= len(a.requests) + len(b.requests) <= 8
