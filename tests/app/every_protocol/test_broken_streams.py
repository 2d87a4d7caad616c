"""Streams that break off, and clients that leave, in every protocol."""

import json

import pytest

from tests.app.conftest import both_ways, soon
from tests.app.protocols import COMPLETIONS, MESSAGES, RESPONSES, events, every_api, routing_of
from tests.app.scripted_upstream import RECORDED
from tests.fixtures import recorded_stream


def cut_after(api, count):
    """A stream that breaks off after `count` events."""

    async def script(turn):
        await turn.stream_head()
        for event in recorded_stream(RECORDED[api.path][1])[:-2].split(b"\n\n")[:count]:
            await turn.chunk(event + b"\n\n")
        turn.reset()

    return script


def is_failed_stream(api, body):
    told = events(body)
    if api is COMPLETIONS:
        assert told[-1] == ("", "[DONE]")
        assert api.error(json.dumps(told[-2][1]).encode())
    elif api is MESSAGES:
        assert told[-1][0] == "error"
        assert api.error(json.dumps(told[-1][1]).encode())
        assert "message_stop" not in [name for name, _ in told]
    else:
        assert [name for name, _ in told[-2:]] == ["error", "response.failed"]
        error_event, failed = told[-2][1], told[-1][1]
        assert error_event["error"]["message"] == error_event["message"] == failed["response"]["error"]["message"]
        assert failed["response"]["status"] == "failed"
        numbers = [data["sequence_number"] for _, data in told]
        assert numbers == list(range(len(told)))
        assert failed["response"]["id"] == told[0][1]["response"]["id"]


@both_ways
@every_api
async def test_a_stream_that_breaks_off_ends_visibly(gateway, api):
    gateway.fast.then(cut_after(api, 4))
    answer = await gateway.post(api.path, api.asking("hello", "auto-instruct", stream=True))
    assert answer.status_code == 200
    is_failed_stream(api, answer.content)
    kind = "upstream_failed"
    assert await gateway.metric("thinkgate_upstream_errors_total", pool="fast", kind=kind) == 1
    await gateway.idle()


@every_api
async def test_a_stream_that_ends_early_in_peace_ends_visibly_too(gateway, api):
    async def script(turn):
        await turn.stream_head()
        for event in recorded_stream(RECORDED[api.path][1])[:-2].split(b"\n\n")[:3]:
            await turn.chunk(event + b"\n\n")
        await turn.send(b"0\r\n\r\n")
        return True

    gateway.fast.then(script)
    answer = await gateway.post(api.path, api.asking("hello", "auto-instruct", stream=True))
    is_failed_stream(api, answer.content)


@every_api
async def test_a_stream_that_falls_silent_ends_visibly(start, api):
    async def script(turn):
        await turn.stream_head()
        for event in recorded_stream(RECORDED[api.path][1])[:-2].split(b"\n\n")[:5]:
            await turn.chunk(event + b"\n\n")
        await turn.wait_gone(30)

    gateway = await start(timeouts={"idle_s": 0.4})
    (gateway.fast).then(script)
    answer = await gateway.post(api.path, api.asking("hello", "auto-instruct", stream=True))
    is_failed_stream(api, answer.content)


@every_api
async def test_a_stream_that_breaks_before_its_first_token_is_answered_by_another(gateway, api):
    gateway.fast.then(cut_after(api, {"responses": 2}.get(api.name, 0)))
    answer = await gateway.post(api.path, api.asking("hello", stream=True))
    assert answer.status_code == 200
    assert answer.headers["x-thinkgate-reason"] == "fallback"
    assert len(routing_of(api, answer.content)) == 1


async def test_a_response_that_is_only_announced_waits_as_long_as_for_a_first_byte(start):
    """vLLM announces a response before its queue: that is no sign of life, so that idle_s does not hold yet."""
    turns = recorded_stream("resp_trained_stream")[:-2].split(b"\n\n")

    async def script(turn):
        await turn.stream_head()
        for event in turns[:2]:
            await turn.chunk(event + b"\n\n")
        await turn.wait_gone(30)

    gateway = await start(timeouts={"idle_s": 0.3, "first_byte_s": 1.0}, profiles={"default": {"fallback": False}})
    gateway.fast.then(script)
    answer = await gateway.post("/v1/responses", RESPONSES.asking("hello", stream=True))
    assert answer.status_code == 504
    assert "first_byte_s" in RESPONSES.error(answer.content)["message"]


@every_api
async def test_an_error_event_at_the_start_becomes_a_status(start, api):
    event = {
        "completions": recorded_stream("err_503_queue_full_stream"),
        "messages": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n',
        "responses": b'data: {"error":{"message":"full","type":"x","param":null,"code":503}}\n\n',
    }[api.name]

    async def script(turn):
        await turn.stream_head()
        await turn.chunk(event)
        await turn.send(b"0\r\n\r\n")
        return True

    gateway = await start(profiles={"default": {"fallback": False}})
    gateway.fast.then(script)
    answer = await gateway.post(api.path, api.asking("hello", stream=True))
    assert answer.status_code == 503
    api.error(answer.content)


@both_ways
@every_api
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_that_leaves_stops_the_backends_work(gateway, api, streaming):
    gone = []

    async def script(turn):
        if streaming:
            await turn.stream_head()
            for event in recorded_stream(RECORDED[api.path][1])[:-2].split(b"\n\n")[:3]:
                await turn.chunk(event + b"\n\n")
        await turn.wait_gone(5)
        gone.append(turn)

    gateway.fast.then(script)
    client = await gateway.raw()
    await client.ask(json.dumps(api.asking("hello", stream=streaming)).encode(), path=api.path)
    assert await soon(lambda: gateway.fast.requests)
    if streaming:
        await client.until(b"data: ")
    client.vanish()
    assert await soon(lambda: gone)
    await gateway.idle()
    assert await soon(lambda: gateway.app.meters.requests(api.name, "instruct", "judge", "499").value == 1)


@every_api
async def test_a_stream_in_small_pieces_is_the_same(gateway, api):
    async def script(turn):
        await turn.stream_head()
        data = recorded_stream(RECORDED[api.path][1]).replace(b"\n", b"\r\n")
        for i in range(0, len(data), 7):
            await turn.chunk(data[i : i + 7])
        await turn.send(b"0\r\n\r\n")
        return True

    whole_one = await gateway.post(api.path, api.asking("hello", "auto-instruct", stream=True))
    gateway.fast.then(script)
    pieces = await gateway.post(api.path, api.asking("hello", "auto-instruct", stream=True))
    strip = [(n, {k: v for k, v in d.items() if k not in ("routing", "response")} if isinstance(d, dict) else d)
             for n, d in events(whole_one.content)]  # fmt: skip
    same = [(n, {k: v for k, v in d.items() if k not in ("routing", "response")} if isinstance(d, dict) else d)
            for n, d in events(pieces.content)]  # fmt: skip
    assert strip == same
