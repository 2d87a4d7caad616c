"""Backends that break before their first byte: a status, another replica's answer, or the other mode's."""

import asyncio
import contextlib
import json
import socket
import threading

import pytest

from tests.app.conftest import both_ways
from tests.app.faults.scripts import (
    NO_FALLBACK,
    SHORT,
    close_at_once,
    error_in_the_stream,
    garbage,
    half_a_head,
    head_and_nothing,
    huge_head,
    payloads,
    reset,
    silence,
)
from tests.app.scripted_upstream import error

BROKEN = [
    (reset, 502, "upstream_failed"),
    (close_at_once, 502, "upstream_failed"),
    (half_a_head, 502, "upstream_failed"),
    (garbage, 502, "upstream_failed"),
    (huge_head, 502, "upstream_failed"),
    (head_and_nothing, 502, "upstream_failed"),
    (silence, 504, "upstream_timeout"),
    (error(500), 500, 500),
    (error(502), 502, 502),
    (error(503), 503, 503),
]


@pytest.mark.parametrize(("script", "status", "code"), BROKEN, ids=lambda v: getattr(v, "__qualname__", str(v)))
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_backend_that_breaks_before_its_first_byte_gives_a_status(start, script, status, code, streaming):
    gateway = await start(timeouts=SHORT if code == "upstream_timeout" else {}, profiles=NO_FALLBACK)
    gateway.fast.then(script)
    answer = await gateway.chat(stream=streaming)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["code"] == code
    assert answer.headers["x-thinkgate-mode"] == "instruct"
    assert gateway.in_flight() == 0
    assert (await gateway.chat(stream=streaming)).status_code == 200


@pytest.mark.parametrize(("script", "status", "code"), BROKEN, ids=lambda v: getattr(v, "__qualname__", str(v)))
@pytest.mark.parametrize("streaming", [False, True])
async def test_where_the_judge_decided_the_other_mode_answers_instead(start, script, status, code, streaming):
    gateway = await start(timeouts=SHORT if code == "upstream_timeout" else {})
    gateway.fast.then(script)
    answer = await gateway.chat(stream=streaming)
    assert answer.status_code == 200
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("thinking", "fallback")
    last = json.loads(payloads(answer.content)[-2]) if streaming else answer.json()
    assert last["routing"]["fallback_from"] == "fast"
    assert (last["routing"]["pool"], last["routing"]["model"]) == ("deep", "thinking")
    assert gateway.deep.requests[0].json["model"] == "thinking"
    assert gateway.deep.requests[0].json["temperature"] == 0.6
    assert gateway.in_flight() == 0


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"x-thinkgate-mode": "instruct"}, {}),
        ({}, {"enable_thinking": False}),
        ({}, {"model": "auto-instruct"}),
        ({}, {"model": "instruct"}),
        ({}, {"messages": [{"role": "user", "content": "hi /no_think"}]}),
    ],
)
async def test_a_clients_own_word_is_never_turned_round(gateway, headers, fields):
    gateway.fast.then(error(500))
    answer = await gateway.chat(headers, **fields)
    assert answer.status_code == 500
    assert gateway.deep.requests == []


async def test_a_profiles_forced_mode_is_never_turned_round(start):
    gateway = await start(profiles={"default": {"mode": "instruct"}})
    gateway.fast.then(error(500))
    assert (await gateway.chat()).status_code == 500
    assert gateway.deep.requests == []


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429])
async def test_the_clients_own_mistakes_are_tried_once_and_told_as_they_are(gateway, status):
    gateway.fast.then(error(status, "your mistake", "retry-after: 7"))
    answer = await gateway.chat()
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == "your mistake"
    assert answer.headers.get("retry-after") == "7"
    assert len(gateway.fast.requests) == 1
    assert gateway.deep.requests == []


@both_ways
async def test_a_full_queue_told_in_a_stream_becomes_a_503_with_retry_after(start):
    gateway = await start(profiles=NO_FALLBACK)
    gateway.fast.then(error_in_the_stream)
    answer = await gateway.chat(stream=True)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "currently busy" in answer.json()["error"]["message"]


async def test_both_modes_failing_tells_the_last_failure_and_tries_each_once(gateway):
    gateway.fast.then(error(500, "first"))
    gateway.deep.then(error(500, "second"))
    answer = await gateway.chat()
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "second"
    assert (len(gateway.fast.requests), len(gateway.deep.requests)) == (1, 1)


async def test_a_pool_that_refuses_connections_is_503_with_retry_after(start):
    gateway = await start(profiles=NO_FALLBACK)
    await gateway.fast.refuse()
    answer = await gateway.chat()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["code"] == "upstream_unavailable"
    assert await gateway.metric("thinkgate_upstream_errors_total", pool="fast", kind="connect") == 1
    assert await gateway.metric("thinkgate_backend_up", pool="fast", replica="0") == 0


async def test_a_pool_that_comes_back_is_used_again(start):
    gateway = await start(profiles=NO_FALLBACK)
    await gateway.fast.refuse()
    assert (await gateway.chat()).status_code == 503
    await gateway.fast.start()
    assert (await gateway.chat()).status_code == 200
    assert await gateway.metric("thinkgate_backend_up", pool="fast", replica="0") == 1


async def test_a_refused_key_of_the_gateway_is_a_502_and_not_a_401(start):
    gateway = await start(profiles=NO_FALLBACK)
    gateway.fast.then(error(401, "Unauthorized"))
    answer = await gateway.chat()
    assert answer.status_code == 502
    assert "www-authenticate" not in answer.headers


@contextlib.contextmanager
def hanging_up():
    """A port whose connections are closed as soon as they are made."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


async def test_a_backend_that_hangs_up_as_soon_as_it_is_connected_hangs_nobody(start):
    gateway = await start(profiles=NO_FALLBACK)
    with hanging_up() as gateway.app.pools["fast"].replicas[0].port:
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(gateway.chat() for _ in range(200)))
    assert {answer.json()["error"]["code"] for answer in answers} <= {"upstream_failed", "upstream_unavailable"}
    assert gateway.in_flight() == 0
