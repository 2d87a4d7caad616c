"""What is tried again elsewhere, and what is not."""

import asyncio

import pytest

from tests.app.faults.scripts import (
    NO_FALLBACK,
    SHORT,
    close_at_once,
    error_in_the_stream,
    garbage,
    head_and_nothing,
    payloads,
    reset,
    silence,
)
from tests.app.scripted_upstream import error, whole


@pytest.mark.parametrize(
    "script", [reset, garbage, error(502), error(503), error(504), head_and_nothing, error_in_the_stream]
)
async def test_another_replica_is_tried_before_the_first_byte(start, script):
    gateway = await start(replicas=2, profiles=NO_FALLBACK)
    gateway.fast.then(script)
    answer = await gateway.chat(stream=True)
    assert answer.status_code == 200
    assert payloads(answer.content)[-1] == b"[DONE]"
    assert len(gateway.fast.requests) == 2
    assert await gateway.metric("thinkgate_retries_total") == 1
    assert gateway.in_flight() == 0


async def test_a_replica_that_is_known_to_be_down_is_not_even_tried(start):
    other = await start()
    live = ["http://127.0.0.1:1", other.fast.url]
    gateway = await start(pools={"fast": {"model": "instruct", "replicas": live}}, profiles=NO_FALLBACK)
    assert [(await gateway.chat()).status_code for _ in range(6)] == [200] * 6
    assert await gateway.metric("thinkgate_retries_total") == 0
    assert await gateway.metric("thinkgate_upstream_errors_total", pool="fast", kind="connect") == 0


async def test_a_replica_that_has_just_gone_down_is_passed_over(start):
    other = await start()
    both = [other.deep.url, other.fast.url]
    gateway = await start(pools={"fast": {"model": "instruct", "replicas": both}}, profiles=NO_FALLBACK)
    await other.deep.refuse()
    assert [(await gateway.chat()).status_code for _ in range(6)] == [200] * 6
    assert await gateway.metric("thinkgate_retries_total") <= 1


async def test_a_plain_500_is_not_tried_on_another_replica(start):
    gateway = await start(replicas=2, profiles=NO_FALLBACK)
    gateway.fast.default = error(500)
    assert (await gateway.chat()).status_code == 500
    assert len(gateway.fast.requests) == 1


async def test_each_replica_is_tried_once_at_most(start):
    gateway = await start(replicas=3, profiles=NO_FALLBACK)
    gateway.fast.default = error(503)
    assert (await gateway.chat()).status_code == 503
    assert len(gateway.fast.requests) == 3
    assert await gateway.metric("thinkgate_retries_total") == 2


async def test_silence_is_not_tried_again_on_another_replica(start):
    gateway = await start(replicas=2, timeouts=SHORT, profiles=NO_FALLBACK)
    gateway.fast.default = silence
    assert (await gateway.chat()).status_code == 504
    assert len(gateway.fast.requests) == 1


async def test_a_connection_that_was_closed_while_idle_is_replaced_without_an_error(start):
    gateway = await start(profiles=NO_FALLBACK)

    async def answers_then_closes(turn):
        await whole()(turn)

    gateway.fast.then(answers_then_closes)
    assert (await gateway.chat()).status_code == 200
    await asyncio.sleep(0.02)
    assert (await gateway.chat()).status_code == 200
    assert gateway.fast.connections == 2
    assert await gateway.metric("thinkgate_upstream_errors_total", pool="fast", kind="upstream_failed") == 0


async def test_a_connection_that_is_closed_just_as_it_is_used_again_is_replaced(start):
    gateway = await start(profiles=NO_FALLBACK)
    gateway.fast.then(whole(), close_at_once)
    assert (await gateway.chat()).status_code == 200
    assert (await gateway.chat()).status_code == 200
    assert gateway.fast.connections == 2
    assert len(gateway.fast.requests) == 3


async def test_the_least_loaded_replica_of_two_is_chosen(start):
    hold = asyncio.Event()
    gateway = await start(replicas=2, profiles=NO_FALLBACK)

    async def waits(turn):
        await hold.wait()
        return await whole()(turn)

    gateway.fast.default = waits
    tasks = []
    async with asyncio.timeout(30):
        for i in range(8):
            tasks.append(asyncio.create_task(gateway.chat()))
            while len(gateway.fast.requests) <= i:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    loads = [replica.in_flight for replica in gateway.app.pools["fast"].replicas]
    assert max(loads) <= 1.25 * min(loads) + 5, "one session: it may load its own replica a little more"
    hold.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    assert gateway.in_flight() == 0


async def test_a_proxy_setting_of_the_environment_does_not_touch_backends(start, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    gateway = await start()
    assert (await gateway.http.get("/health")).json()["pools"]["fast"]["up"] is True
    assert (await gateway.chat()).status_code == 200
