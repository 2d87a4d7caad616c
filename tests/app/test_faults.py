"""Backends that break, clients that leave, and clients that read slowly: what each side sees."""

import asyncio
import json

import pytest

from tests.app.conftest import both_ways, soon
from tests.app.scripted_upstream import error, stream, whole
from tests.fixtures import recorded, recorded_stream

EVENTS = [e + b"\n\n" for e in recorded_stream("chat_instruct_stream_usage")[:-2].split(b"\n\n")]
SHORT = {"first_byte_s": 0.5, "idle_s": 0.5}
NO_FALLBACK = {"default": {"fallback": False}}


def payloads(body):
    return [e.removeprefix(b"data: ") for e in body[:-2].split(b"\n\n")]


# ---------------------------------------------------------------------------------------- broken before the first byte


async def reset(turn):
    turn.reset()


async def close_at_once(turn):
    return None


async def half_a_head(turn):
    await turn.send(b"HTTP/1.1 200 OK\r\ncontent-ty")


async def garbage(turn):
    await turn.send(b"\x00\x01 this is not HTTP\r\n\r\n")


async def head_and_nothing(turn):
    await turn.stream_head()


async def huge_head(turn):
    await turn.send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000)
    await turn.wait_gone(30)


async def silence(turn):
    await turn.wait_gone(30)


async def error_in_the_stream(turn):
    await turn.stream_head()
    await turn.chunk(recorded_stream("err_503_queue_full_stream"))
    await turn.send(b"0\r\n\r\n")
    return True


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


# ---------------------------------------------------------------------------------------- retries


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


# ---------------------------------------------------------------------------------------- broken in the middle


async def first_events(turn):
    await turn.stream_head()
    for event in EVENTS[:3]:
        await turn.chunk(event)
    await asyncio.sleep(0.02)


async def cut(turn):
    await first_events(turn)


async def reset_midway(turn):
    await first_events(turn)
    turn.reset()


async def stall(turn):
    await first_events(turn)
    await turn.wait_gone(30)


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


# ---------------------------------------------------------------------------------------- clients that leave


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


# ---------------------------------------------------------------------------------------- clients that read slowly


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
    assert [replica.in_flight for replica in gateway.app.pools["fast"].replicas] == [4, 4]
    hold.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    assert gateway.in_flight() == 0


async def test_a_proxy_setting_of_the_environment_does_not_touch_backends(start, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    gateway = await start()
    assert (await gateway.http.get("/health")).json()["pools"]["fast"]["up"] is True
    assert (await gateway.chat()).status_code == 200
