"""Backends that break in the middle of an answer, and unusual answers that are whole."""

import asyncio
import json

import pytest

from tests.app.conftest import both_ways
from tests.app.faults.scripts import (
    EVENTS,
    NO_FALLBACK,
    SHORT,
    first_events,
    payloads,
    stall,
)
from tests.app.scripted_upstream import stream, whole
from tests.fixtures import recorded, recorded_stream


async def cut(turn):
    await first_events(turn)


async def reset_midway(turn):
    await first_events(turn)
    turn.reset()


async def half_an_event(turn):
    await first_events(turn)
    await turn.chunk(EVENTS[3][: len(EVENTS[3]) // 2])


async def ends_without_finish(turn):
    await first_events(turn)
    await turn.send(b"0\r\n\r\n")


async def done_without_finish(turn):
    await first_events(turn)
    await turn.chunk(b"data: [DONE]\n\n")
    await turn.send(b"0\r\n\r\n")


async def broken_chunks(turn):
    await first_events(turn)
    await turn.send(b"not a chunk size\r\n")
    await turn.wait_gone(30)


async def error_event(turn):
    await first_events(turn)
    await turn.chunk(recorded_stream("err_503_queue_full_stream"))
    await turn.send(b"0\r\n\r\n")


@both_ways
@pytest.mark.parametrize(
    ("script", "code"),
    [
        (cut, "upstream_failed"),
        (reset_midway, "upstream_failed"),
        (stall, "upstream_timeout"),
        (half_an_event, "upstream_failed"),
        (ends_without_finish, "upstream_failed"),
        (done_without_finish, "upstream_failed"),
        (broken_chunks, "upstream_failed"),
        (error_event, 503),
    ],
)
async def test_a_stream_that_breaks_in_the_middle_ends_in_one_error_event_and_done(start, script, code):
    gateway = await start(timeouts=SHORT if code == "upstream_timeout" else {})
    gateway.fast.then(script)
    answer = await gateway.chat(stream=True)
    assert answer.status_code == 200
    got = payloads(answer.content)
    assert got[-1] == b"[DONE]"
    assert got[:3] == [e[6:-2] for e in EVENTS[:3]]
    assert len(got) == 5
    assert json.loads(got[3])["error"]["code"] == code
    assert gateway.deep.requests == [], "nobody else answers after the first byte"
    await gateway.idle()
    assert (await gateway.chat(stream=True)).status_code == 200


async def short_body(turn):
    await turn.head(200, "application/json", "content-length: 5000")
    await turn.send(recorded("chat_instruct").body)


async def stall_in_the_body(turn):
    await turn.head(200, "application/json", "content-length: 5000")
    await turn.send(recorded("chat_instruct").body)
    await turn.wait_gone(30)


@both_ways
@pytest.mark.parametrize(("script", "status"), [(short_body, 502), (stall_in_the_body, 504)])
async def test_half_an_answer_is_never_given_as_a_whole_one(start, script, status):
    gateway = await start(timeouts=SHORT if status == 504 else {}, profiles=NO_FALLBACK)
    gateway.fast.then(script)
    answer = await gateway.chat()
    assert answer.status_code == status
    assert gateway.in_flight() == 0


@both_ways
async def test_a_total_limit_ends_even_a_stream_that_flows(start):
    gateway = await start(timeouts={**SHORT, "total_s": 0.4})
    gateway.fast.then(stream("crash_midstream", pause_s=0.05))
    answer = await gateway.chat(stream=True)
    got = payloads(answer.content)
    assert json.loads(got[-2])["error"]["code"] == "upstream_timeout"
    assert "total_s" in json.loads(got[-2])["error"]["message"]
    await gateway.idle()


@both_ways
async def test_a_slow_drip_is_forwarded_as_it_comes_and_outlives_the_idle_limit(start):
    gateway = await start(timeouts={**SHORT, "idle_s": 0.6})

    async def drip(turn):
        await turn.stream_head()
        for event in EVENTS:
            for part in (event[:20], event[20:]):
                await turn.chunk(part)
                await asyncio.sleep(0.02)
        await turn.send(b"0\r\n\r\n")

    gateway.fast.then(drip)
    raw = await gateway.raw()
    await raw.ask(None, stream=True)
    await raw.until(b"\r\n\r\n")
    first = await raw.until(b"\n\n\r\n")
    assert EVENTS[0] in first, "the first event comes alone, long before the last"
    assert b"[DONE]" not in first
    assert (await raw.until(b"0\r\n\r\n")).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    await raw.close()


async def test_a_body_that_ends_with_the_connection_is_whole(gateway):
    async def until_close(turn):
        await turn.head(200, "application/json", "connection: close")
        await turn.send(recorded("chat_instruct").body)

    gateway.fast.then(until_close)
    answer = await gateway.chat()
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"


async def test_a_stream_that_ends_with_the_connection_is_whole(gateway):
    async def until_close(turn):
        await turn.head(200, "text/event-stream", "connection: close")
        await turn.send(b"".join(EVENTS))

    gateway.fast.then(until_close)
    answer = await gateway.chat(stream=True)
    assert payloads(answer.content)[-1] == b"[DONE]"
    assert b'"error"' not in answer.content


async def test_an_interim_answer_of_the_backend_is_not_the_answer(gateway):
    async def interim(turn):
        await turn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await whole()(turn)

    gateway.fast.then(interim)
    assert (await gateway.chat()).status_code == 200


@both_ways
async def test_a_backend_that_ignores_stream_is_answered_in_one_piece(gateway):
    gateway.fast.then(whole())
    answer = await gateway.chat(stream=True)
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"
