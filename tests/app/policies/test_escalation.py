"""Escalation in the real gateway: a draft that does not look right is dropped, and the client sees one answer alone."""

import asyncio
import json

import pytest

from tests.app.answers import sse
from tests.app.conftest import both_ways, soon
from tests.app.scripted_upstream import error, stream, whole

SURE, UNSURE = -0.05, -1.5
ESCALATION = {"tokens": 4, "time_ms": 60_000, "bound": -0.5, "band": 0.2}
REQUEST = {"api": "chat", "mode": "thinking", "reason": "escalated", "status": "200"}
streaming = pytest.mark.parametrize("streams", [False, True])


def profile(**changes):
    return {"profiles": {"default": {"escalation": {**ESCALATION, **changes}}}}


def drafts(*logprobs, told=True, finish="stop", pause=None, breaks=False):
    """A backend whose answer is one letter a token, with these log-probabilities where they are asked for."""

    async def script(turn):
        asked = turn.request.json.get("logprobs") is True
        words = [chr(97 + i % 26) for i in range(len(logprobs))]
        usage = {"prompt_tokens": 9, "total_tokens": 9 + len(words), "completion_tokens": len(words)}
        entries = [{"token": w, "logprob": p, "bytes": [1]} for w, p in zip(words, logprobs, strict=True)]
        shown = asked and told
        head = {"id": "chatcmpl-1", "created": 1, "model": "instruct"}
        if not turn.request.json.get("stream"):
            message = {"role": "assistant", "content": "".join(words)}
            choice = {"index": 0, "message": message, "logprobs": {"content": entries} if shown else None}
            body = {**head, "choices": [{**choice, "finish_reason": finish}], "usage": usage}
            await turn.answer(200, json.dumps(body, separators=(",", ":")).encode())
            return True
        await turn.stream_head()

        async def say(choices, **more):
            event = json.dumps({**head, "choices": choices, **more}, separators=(",", ":"))
            await turn.chunk(b"data: " + event.encode() + b"\n\n")

        plain = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        await say([plain])
        for word, entry in zip(words, entries, strict=True):
            await say([{**plain, "delta": {"content": word}, "logprobs": {"content": [entry]} if shown else None}])
        if pause is not None:
            await pause.wait()
        if breaks:
            turn.reset()
            return False
        for i in range(turn.request.json.get("n", 1)):
            await say([{**plain, "index": i, "delta": {"content": ""}, "finish_reason": finish}])
        await say([], usage=usage)
        await turn.chunk(b"data: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")
        return True

    return script


def told(answer, streams):
    """Content, routing, and whether any log-probability is shown."""
    assert answer.status_code == 200, answer.text
    if not streams:
        body = answer.json()
        (choice,) = body["choices"]
        return choice["message"]["content"], body["routing"], choice.get("logprobs") is not None
    assert answer.text.count("data: [DONE]") == 1
    events = sse(answer.content)
    choices = [choice for event in events for choice in event["choices"]]
    (routing,) = [event["routing"] for event in events if "routing" in event]
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    return content, routing, any(choice.get("logprobs") for choice in choices)


@both_ways
@streaming
async def test_an_unsure_draft_is_dropped_and_thinking_answers(start, streams):
    gateway = await start(score=0.4, **profile())
    gateway.fast.then(drafts(*[UNSURE] * 8))
    gateway.deep.then(stream() if streams else whole("trained_thinking"))
    answer = await gateway.chat(stream=streams)
    content, routing, shown = told(answer, streams)
    assert content.strip() == "6"
    assert not shown
    assert (routing["mode"], routing["reason"], routing["pool"]) == ("thinking", "escalated", "deep")
    assert (routing["score"], routing["threshold"]) == (0.4, 0.5)
    assert routing["draft_tokens"] == (2 if streams else 8)  # -3.0 is below 4 x -0.5: no need to wait for more
    assert routing["because"] == "the draft's mean log-probability -1.500 is below -0.5"
    assert answer.headers["x-thinkgate-reason"] == "escalated"
    assert answer.headers["x-thinkgate-mode"] == "thinking"
    assert "abc" not in answer.text
    assert gateway.fast.requests[0].json["logprobs"] is True
    assert "logprobs" not in gateway.deep.requests[0].json
    assert await gateway.metric("thinkgate_escalations_total", cause="low_logprob") == 1
    assert await gateway.metric("thinkgate_draft_tokens_total", outcome="dropped") == routing["draft_tokens"]
    assert await gateway.metric("thinkgate_requests_total", **REQUEST) == 1
    assert await gateway.metric("thinkgate_tokens_total", mode="instruct", kind="answer") == 0
    await gateway.idle()


@both_ways
@streaming
async def test_a_sure_draft_is_given_whole_and_without_logprobs(start, streams):
    gateway = await start(score=0.4, **profile())
    gateway.fast.then(drafts(*[SURE] * 10))
    answer = await gateway.chat(stream=streams)
    content, routing, shown = told(answer, streams)
    assert content == "abcdefghij"
    assert not shown
    assert (routing["mode"], routing["reason"]) == ("instruct", "judge")
    assert "draft_tokens" not in routing
    assert gateway.deep.requests == []
    assert await gateway.metric("thinkgate_escalations_total", cause="low_logprob") == 0
    assert await gateway.metric("thinkgate_draft_tokens_total", outcome="kept") == (4 if streams else 10)
    assert await gateway.metric("thinkgate_draft_surprise_nats_sum") == pytest.approx(-SURE)
    assert await gateway.metric("thinkgate_tokens_total", mode="instruct", kind="answer") == 10


async def test_held_tokens_go_out_as_soon_as_there_are_enough(start):
    gateway = await start(score=0.4, **profile())
    go = asyncio.Event()
    gateway.fast.then(drafts(*[SURE] * 4, pause=go))
    client = await gateway.raw()
    await client.ask(stream=True)
    await client.until(b'"content":"d"')  # the backend still has its end to say
    go.set()
    await client.until(b"[DONE]")
    await client.close()


async def test_held_tokens_go_out_when_the_time_is_over(start):
    gateway = await start(score=0.4, **profile(time_ms=20))
    go = asyncio.Event()
    gateway.fast.then(drafts(SURE, SURE, pause=go))
    client = await gateway.raw()
    await client.ask(stream=True)
    await client.until(b'"content":"b"')
    go.set()
    await client.until(b"[DONE]")
    assert gateway.deep.requests == []
    await client.close()


async def test_when_the_time_is_over_an_unsure_draft_is_dropped(start):
    gateway = await start(score=0.4, **profile(time_ms=20, bound=-1.0, tokens=100))
    go = asyncio.Event()
    gateway.fast.then(drafts(UNSURE, UNSURE, pause=go))
    gateway.deep.then(stream())
    content, routing, _ = told(await gateway.chat(stream=True), True)
    assert (content.strip(), routing["reason"], routing["draft_tokens"]) == ("6", "escalated", 2)
    go.set()


@streaming
async def test_a_client_that_asks_for_logprobs_gets_them(start, streams):
    gateway = await start(score=0.4, **profile())
    gateway.fast.then(drafts(*[SURE] * 6))
    content, _, shown = told(await gateway.chat(stream=streams, logprobs=True), streams)
    assert (content, shown) == ("abcdef", True)


@streaming
@pytest.mark.parametrize(
    ("config", "fields", "score"),
    [
        ({}, {}, 0.4),  # off by default
        (profile(), {}, 0.29),  # below the band
        (profile(), {"model": "auto-instruct"}, 0.4),
        (profile(), {"enable_thinking": False}, 0.4),
        (profile(), {"tools": [{"type": "function", "function": {"name": "f"}}]}, 0.4),
        (profile(), {"n": 2}, 0.4),
        (profile(), {"top_logprobs": 2}, 0.4),  # the backend's to refuse, as without escalation
        (profile(), {"model": "instruct"}, 0.4),
    ],
)
async def test_nothing_is_watched_that_should_not_be(start, streams, config, fields, score):
    gateway = await start(score=score, **config)
    gateway.fast.then(drafts(*[UNSURE] * 8))
    answer = await gateway.chat(stream=streams, **fields)
    assert answer.status_code == 200
    assert "logprobs" not in gateway.fast.requests[0].json
    assert gateway.deep.requests == []


async def test_other_protocols_are_not_watched(start):
    gateway = await start(score=0.4, **profile())
    for path, body in (("/v1/completions", {"prompt": "hi"}), ("/v1/responses", {"input": "hi"})):
        answer = await gateway.post(path, {"model": "auto", **body})
        assert answer.status_code == 200
    assert all("logprobs" not in request.json for request in gateway.fast.requests)


async def test_while_load_is_shed_nothing_is_escalated(start):
    shedding = {"start": 0.5, "full": 1.0, "attack_s": 1e-6}
    gateway = await start(score=0.4, profiles={"default": {"escalation": ESCALATION, "load_shedding": shedding}})
    gateway.app.pools["deep"].replicas[0].queue_seen(running=1, waiting=8, cache=0.1)
    await gateway.chat()
    await gateway.chat()
    assert "logprobs" not in gateway.fast.requests[-1].json


@streaming
async def test_where_thinking_cannot_answer_instruct_does_unwatched(start, streams):
    gateway = await start(score=0.4, **profile())
    gateway.fast.then(drafts(*[UNSURE] * 8), drafts(*[UNSURE] * 8))
    gateway.deep.then(error(500))
    content, routing, shown = told(await gateway.chat(stream=streams), streams)
    assert (content, shown) == ("abcdefgh", False)
    assert (routing["mode"], routing["reason"], routing["fallback_from"]) == ("instruct", "fallback", "deep")
    assert routing["draft_tokens"] > 0
    assert "logprobs" not in gateway.fast.requests[1].json


async def test_a_draft_that_breaks_off_is_tried_again_elsewhere_unseen(start):
    gateway = await start(score=0.4, replicas=1, **profile())
    gateway.fast.then(drafts(SURE, SURE, breaks=True))
    gateway.deep.then(stream())
    content, routing, _ = told(await gateway.chat(stream=True), True)
    assert content.strip() == "6"
    assert routing["reason"] == "fallback"  # as for any backend that broke off before the first byte


@streaming
async def test_a_backend_that_tells_no_logprobs_is_not_waited_for(start, streams):
    gateway = await start(score=0.4, **profile())
    gateway.fast.then(drafts(*[UNSURE] * 8, told=False))
    content, routing, _ = told(await gateway.chat(stream=streams), streams)
    assert (content, routing["reason"]) == ("abcdefgh", "judge")
    assert await gateway.metric("thinkgate_draft_surprise_nats_count") == 0


@streaming
async def test_a_backend_that_refuses_logprobs_is_asked_without_from_then_on(start, streams):
    gateway = await start(score=0.4, **profile())
    gateway.fast.then(error(400, "logprobs are not supported"), drafts(*[UNSURE] * 3), drafts(*[UNSURE] * 3))
    for _ in range(2):
        content, routing, _ = told(await gateway.chat(stream=streams), streams)
        assert (content, routing["reason"]) == ("abc", "judge")
    assert ["logprobs" in request.json for request in gateway.fast.requests] == [True, False, False]


async def test_a_client_that_leaves_while_a_draft_is_held_aborts_it(start):
    gateway = await start(score=0.4, **profile())
    left = asyncio.Event()

    async def holds(turn):
        await turn.stream_head()
        await turn.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n')
        await turn.wait_gone(5)
        left.set()

    gateway.fast.then(holds)
    client = await gateway.raw()
    await client.ask(stream=True)
    assert await soon(lambda: len(gateway.fast.requests) == 1, 2)
    client.vanish()
    async with asyncio.timeout(5):
        await left.wait()
    await gateway.idle()
    assert gateway.deep.requests == []


async def test_the_draft_is_aborted_at_the_backend(start):
    gateway = await start(score=0.4, **profile())
    aborted = asyncio.Event()

    async def endless(turn):
        await turn.stream_head()
        entry = {"content": [{"token": "a", "logprob": -9.0}]}
        choice = {"index": 0, "delta": {"content": "a"}, "logprobs": entry, "finish_reason": None}
        await turn.chunk(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        await turn.wait_gone(5)
        aborted.set()

    gateway.fast.then(endless)
    gateway.deep.then(stream())
    assert told(await gateway.chat(stream=True), True)[1]["reason"] == "escalated"
    async with asyncio.timeout(5):
        await aborted.wait()
    await gateway.idle()


async def test_the_session_remembers_that_it_thinks(start):
    gateway = await start(score=0.45, **profile())
    gateway.fast.then(drafts(*[UNSURE] * 8))
    gateway.deep.then(whole("trained_thinking"), whole("trained_thinking"))
    talk = [{"role": "user", "content": "hello"}]
    headers = {"x-session-id": "s"}
    assert (await gateway.chat(messages=talk, headers=headers)).headers["x-thinkgate-reason"] == "escalated"
    talk += [{"role": "assistant", "content": "6"}, {"role": "user", "content": "and now?"}]
    answer = await gateway.chat(messages=talk, headers=headers)
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("thinking", "session")


async def test_dropped_tokens_are_charged_to_the_caller(start):
    limits = {"tenants": {"*": {"limits": {"tokens_per_hour": 1_000_000}}}}
    gateway = await start(score=0.4, **profile(), **limits)
    gateway.fast.then(drafts(*[UNSURE] * 8))
    gateway.deep.then(whole("trained_thinking"))
    answer = await gateway.chat()
    usage = answer.json()["usage"]
    ledger = gateway.app.may_call("/v1/chat/completions", {}).ledger
    ((window, _),) = ledger.accounts[0]._tokens
    assert window._now + window._before == 8 + usage["prompt_tokens"] + usage["completion_tokens"]


@streaming
async def test_a_hybrid_model_escalates_too(start, streams):
    gateway = await start(
        score=0.4,
        **profile(),
        routes={"auto": {"family": "qwen3-hybrid", "pool": "fast"}},
        pools={},
    )
    gateway.fast.then(drafts(*[UNSURE] * 8), stream() if streams else whole("trained_thinking"))
    content, routing, _ = told(await gateway.chat(stream=streams), streams)
    assert (content.strip(), routing["reason"]) == ("6", "escalated")
    kwargs = [request.json["chat_template_kwargs"]["enable_thinking"] for request in gateway.fast.requests]
    assert kwargs == [False, True]
