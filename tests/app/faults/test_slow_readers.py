"""Clients that read slowly, and many at once."""

import asyncio
import json

from tests.app.conftest import both_ways, soon
from tests.app.faults.scripts import (
    EVENTS,
    payloads,
)


@both_ways
async def test_a_slow_reader_makes_the_backend_wait_and_then_gets_every_byte(gateway):
    sent = 0
    text = b"x" * 60_000
    event = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"' + text + b'"},"finish_reason":null}]}\n\n'
    total = 600  # 36 MB

    async def floods(turn):
        nonlocal sent
        await turn.stream_head()
        for _ in range(total):
            await turn.chunk(event)
            sent += 1
        await turn.chunk(EVENTS[-3] if b'"finish_reason":"' in EVENTS[-3] else b"")
        await turn.chunk(b"data: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")

    gateway.fast.then(floods)
    raw = await gateway.raw()
    raw.writer.transport.pause_reading()
    await raw.ask(None, stream=True)
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.25)
    assert 0 < sent < total * 0.6, "the backend has to wait for the client"
    raw.writer.transport.resume_reading()
    status, _, body = await raw.answer()
    assert status == 200
    assert sent == total
    assert body.count(text) == total
    assert body.endswith(b"data: [DONE]\n\n")
    await raw.close()
    await gateway.idle()


@both_ways
async def test_a_slow_reader_that_leaves_stops_the_backend(gateway):
    gone = asyncio.Event()
    event = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % (
        b"x" * 60_000
    )

    async def floods(turn):
        await turn.stream_head()
        try:
            while True:
                await turn.chunk(event)
        except ConnectionError:
            gone.set()

    gateway.fast.then(floods)
    raw = await gateway.raw()
    raw.writer.transport.pause_reading()
    await raw.ask(None, stream=True)
    await asyncio.sleep(0.3)
    raw.vanish()
    assert await soon(gone.is_set)
    await gateway.idle()


@both_ways
async def test_many_streams_at_once_each_get_their_own_answer(gateway):
    async def echo(turn):
        word = turn.request.json["messages"][0]["content"].encode()
        await turn.stream_head()
        for finish in (b"null", b"null", b'"stop"'):
            await turn.chunk(
                b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":%b}]}\n\n' % (word, finish)
            )
            await asyncio.sleep(0.01)
        await turn.chunk(b"data: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")
        return True

    gateway.fast.default = echo

    async def one(i):
        answer = await gateway.chat(stream=True, messages=[{"role": "user", "content": f"word{i}"}])
        chunks = [json.loads(p) for p in payloads(answer.content)[:-1]]
        return [c["choices"][0]["delta"]["content"] for c in chunks] == [f"word{i}"] * 3

    for _ in range(2):
        assert all(await asyncio.gather(*(one(i) for i in range(40))))
    assert gateway.in_flight() == 0
