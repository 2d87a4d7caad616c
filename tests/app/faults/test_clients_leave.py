"""Clients that leave: the backend stops its work, and nothing stays behind."""

import asyncio

import pytest

from tests.app.conftest import both_ways, soon
from tests.app.faults.scripts import (
    first_events,
    stall,
)
from tests.app.scripted_upstream import stream


@both_ways
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_that_leaves_before_the_head_stops_the_backend(gateway, streaming):
    reached, gone = asyncio.Event(), asyncio.Event()

    async def waits(turn):
        reached.set()
        await turn.wait_gone(30)
        gone.set()

    gateway.fast.then(waits)
    raw = await gateway.raw()
    await raw.ask(None, stream=streaming)
    await asyncio.wait_for(reached.wait(), 30)
    assert gateway.in_flight() == 1
    raw.vanish()
    assert await soon(gone.is_set)
    await gateway.idle()
    assert await gateway.metric("thinkgate_client_disconnects_total", phase="queued") == 1
    assert gateway.deep.requests == []


@both_ways
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("leave", ["vanish", "close"])
async def test_a_client_that_leaves_during_the_answer_stops_the_backend(gateway, streaming, leave):
    reached, gone = asyncio.Event(), asyncio.Event()

    async def begins(turn):
        if streaming:
            await first_events(turn)
        else:
            await turn.head(200, "application/json", "content-length: 5000")
            await turn.send(b"{")
        reached.set()
        await turn.wait_gone(30)
        gone.set()

    gateway.fast.then(begins)
    raw = await gateway.raw()
    await raw.ask(None, stream=streaming)
    await asyncio.wait_for(reached.wait(), 30)
    if streaming:
        await raw.until(b"\n\n")
    await asyncio.sleep(0.02)
    if leave == "vanish":
        raw.vanish()
    else:
        await raw.close()
    assert await soon(gone.is_set)
    await gateway.idle()
    assert await gateway.metric("thinkgate_client_disconnects_total", phase="answering") == 1
    labels = {"api": "chat", "mode": "instruct", "reason": "judge", "status": "499"}
    assert await gateway.metric("thinkgate_requests_total", **labels) == 1


@both_ways
async def test_a_client_that_leaves_while_connecting_leaves_nothing_behind(gateway):
    await gateway.fast.refuse()
    raw = await gateway.raw()
    await raw.ask(None)
    raw.vanish()
    await asyncio.sleep(0.1)
    await gateway.idle()
    await gateway.fast.start()
    assert (await gateway.chat()).status_code == 200


@both_ways
async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind(gateway):
    raw = await gateway.raw()
    await raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    await asyncio.sleep(0.02)
    raw.vanish()
    await asyncio.sleep(0.02)
    assert gateway.in_flight() == 0
    assert gateway.fast.requests == []
    assert (await gateway.chat()).status_code == 200


@both_ways
async def test_a_client_that_leaves_does_not_harm_another_ones_stream(gateway):
    gateway.fast.then(stall, stream("chat_instruct_stream_usage", pause_s=0.03))
    leaving, staying = await gateway.raw(), await gateway.raw()
    await leaving.ask(None, stream=True)
    await leaving.until(b"\n\n")
    await staying.ask(None, stream=True)
    await staying.until(b"\n\n")
    leaving.vanish()
    assert (await staying.until(b"0\r\n\r\n")).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    await staying.close()
    await gateway.idle()


@both_ways
async def test_a_client_that_leaves_after_its_answer_is_no_disconnect(gateway):
    raw = await gateway.raw()
    await raw.ask(None, stream=True)
    await raw.answer()
    raw.vanish()
    await asyncio.sleep(0.05)
    for phase in ("connecting", "queued", "answering", "judging"):
        assert await gateway.metric("thinkgate_client_disconnects_total", phase=phase) == 0
    assert (await gateway.chat()).status_code == 200
    assert gateway.fast.connections == 1, "the backend's connection stays in use"
