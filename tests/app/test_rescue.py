"""Thinking that leaves no room for an answer: the client gets one all the same, in the same response."""

import asyncio
import json

import pytest

from tests.app.answers import sse
from tests.app.conftest import both_ways, soon
from tests.app.scripted_upstream import error, recorded, stream, whole
from tests.app.test_self_judged import KAT, message_of, says

RESCUED = {"profiles": {"default": {"rescue": True, "rescue_tokens": 40}}}
THOUGHT = "7+5=2\n2*3="
PROMPT = json.loads(recorded("tokenize_thinking_messages").body)


def cut(thought=THOUGHT):
    """A backend with a reasoning parser whose tokens were all spent on thinking."""

    async def script(turn):
        head = {"id": "chatcmpl-1", "created": 1, "model": "thinking"}
        usage = {"prompt_tokens": 27, "total_tokens": 37, "completion_tokens": 10}
        if not turn.request.json.get("stream"):
            await turn.answer(200, recorded("trained_thinking_truncated").body)
            return True
        await turn.stream_head()
        deltas = [{"role": "assistant", "content": ""}, *({"reasoning": letter} for letter in thought)]
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
        choices.append({**choices[0], "delta": {"content": ""}, "finish_reason": "length"})
        events = [{**head, "choices": [choice]} for choice in choices] + [{**head, "choices": [], "usage": usage}]
        data = b"".join(b"data: " + json.dumps(e, separators=(",", ":")).encode() + b"\n\n" for e in events)
        await turn.chunk(data + b"data: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")
        return True

    return script


def tokens(body):
    async def script(turn):
        assert turn.request.path == "/tokenize"
        await turn.answer(200, json.dumps(body).encode())
        return True

    return script


def completes(*texts, finish="stop", breaks=False):
    """A raw completion, streamed."""

    async def script(turn):
        assert turn.request.path == "/v1/completions"
        await turn.stream_head()
        for text in texts:
            event = {"id": "cmpl-1", "choices": [{"index": 0, "text": text, "finish_reason": None}]}
            await turn.chunk(b"data: " + json.dumps(event).encode() + b"\n\n")
        if breaks:
            turn.reset()
            return False
        last = {"choices": [{"index": 0, "text": "", "finish_reason": finish}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43}}
        for event in (last, usage):
            await turn.chunk(b"data: " + json.dumps(event).encode() + b"\n\n")
        await turn.chunk(b"data: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")
        return True

    return script


SUFFIX = {"count": 2, "max_model_len": 2048, "tokens": [901, 902], "token_strs": None}


@both_ways
@pytest.mark.parametrize("streams", [False, True])
async def test_the_block_is_closed_and_the_answer_follows_in_the_same_response(start, streams):
    gateway = await start(score=0.9, **RESCUED)
    gateway.deep.then(cut(), tokens(PROMPT), tokens(SUFFIX), completes("6", "!"))
    options = {"stream_options": {"include_usage": True}} if streams else {}
    answer = await gateway.chat(stream=streams, max_tokens=10, temperature=0, seed=3, stop=["\n"], **options)
    content, reasoning, routing = message_of(answer, streams)
    assert (content, reasoning) == ("6!", THOUGHT)
    assert (routing["mode"], routing["rescue"], routing["pool"]) == ("thinking", "continued", "deep")
    last = sse(answer.content)[-1] if streams else answer.json()
    assert last["usage"]["completion_tokens"] == 13
    assert last["usage"]["prompt_tokens"] == 27
    finish = [c["finish_reason"] for e in (sse(answer.content) if streams else [last]) for c in e["choices"]]
    assert finish[-1] == "stop"
    assert "length" not in finish
    first, prompt, suffix, completion = (request.json for request in gateway.deep.requests)
    assert prompt == {
        "model": "thinking",
        "messages": first["messages"],
        "add_generation_prompt": True,
        "return_token_strs": True,
    }
    # The template has opened the block already.
    assert suffix == {"model": "thinking", "prompt": f"{THOUGHT}\n</think>\n\n", "add_special_tokens": False}
    assert completion["prompt"] == [*PROMPT["tokens"], 901, 902]
    assert completion["max_tokens"] == 40
    assert {name: completion[name] for name in ("temperature", "seed", "stop", "top_k")} == {
        "temperature": 0,
        "seed": 3,
        "stop": ["\n"],
        "top_k": 20,
    }
    assert not {"messages", "max_completion_tokens", "tools", "chat_template_kwargs"} & set(completion)
    assert gateway.fast.requests == []
    assert await gateway.metric("thinkgate_rescues_total", how="continued") == 1
    assert await gateway.metric("thinkgate_requests_total", **REQUEST) == 1
    spent = [await gateway.metric("thinkgate_tokens_total", mode="thinking", kind=k) for k in ("reasoning", "answer")]
    assert sum(spent) == 13
    assert gateway.in_flight() == 0


REQUEST = {"api": "chat", "mode": "thinking", "reason": "judge", "status": "200"}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    "failing",
    [
        [error(404, "no tokenize here")],
        [tokens({"tokens": [1], "token_strs": None, "max_model_len": 9})],
        [tokens({**PROMPT, "max_model_len": 30}), tokens(SUFFIX)],
        [tokens(PROMPT), tokens(SUFFIX), error(400, "too long")],
        [tokens(PROMPT), tokens(SUFFIX), completes(breaks=True)],
    ],
)
async def test_where_it_cannot_be_continued_instruct_answers(start, streams, failing):
    gateway = await start(score=0.9, **RESCUED)
    gateway.deep.then(cut(), *failing)
    gateway.fast.then(stream("trained_instruct_stream"))
    answer = await gateway.chat(stream=streams, max_completion_tokens=10)
    content, reasoning, routing = message_of(answer, streams)
    assert reasoning == THOUGHT
    assert content
    assert (routing["mode"], routing["rescue"]) == ("thinking", "instruct")
    asked = gateway.fast.requests[0].json
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("instruct", 40, 0.7)
    assert "max_completion_tokens" not in asked
    assert await gateway.metric("thinkgate_rescues_total", how="instruct") == 1


async def test_instruct_is_not_asked_beyond_the_places_of_its_pool(start):
    url = (await start()).fast.url
    pool = {"model": "instruct", "replicas": [url], "max_in_flight": 1}
    gateway = await start(score=0.9, **RESCUED, pools={"fast": pool})
    places = gateway.app.pools["fast"].places

    async def rescue():
        gateway.deep.then(cut(), error(404))
        return message_of(await gateway.chat(), False)[2]["rescue"]

    assert places.take()
    assert await rescue() == "failed"
    places.leave()
    assert await rescue() == "instruct"
    assert await soon(lambda: places.in_use == 0, 10)


@pytest.mark.parametrize("streams", [False, True])
async def test_where_nobody_answers_the_client_gets_what_it_would_have_had(start, streams):
    gateway = await start(score=0.9, **RESCUED)
    gateway.deep.then(cut(), error(404))
    gateway.fast.then(error(500))
    answer = await gateway.chat(stream=streams)
    content, reasoning, routing = message_of(answer, streams)
    assert (content, reasoning, routing["rescue"]) == ("", THOUGHT, "failed")
    events = sse(answer.content) if streams else [answer.json()]
    assert [c["finish_reason"] for e in events for c in e["choices"]][-1] == "length"
    assert await gateway.metric("thinkgate_rescues_total", how="failed") == 1


async def test_an_answer_that_breaks_off_ends_as_far_as_it_came(start):
    gateway = await start(score=0.9, **RESCUED)
    gateway.deep.then(cut(), tokens(PROMPT), tokens(SUFFIX), completes("6", breaks=True))
    answer = await gateway.chat(stream=True)
    content, _, routing = message_of(answer, True)
    assert (content, routing["rescue"]) == ("6", "failed")
    assert [c["finish_reason"] for e in sse(answer.content) for c in e["choices"]][-1] == "length"
    assert gateway.fast.requests == []


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("config", "fields", "script"),
    [
        ({}, {}, cut()),  # off by default
        (RESCUED, {"tools": [{"type": "function", "function": {"name": "f"}}]}, cut()),
        (RESCUED, {"model": "thinking"}, cut()),
    ],
)
async def test_nothing_is_rescued_that_should_not_be(start, streams, config, fields, script):
    gateway = await start(score=0.9, **config)
    gateway.deep.then(script)
    answer = await gateway.chat(stream=streams, **fields)
    assert answer.status_code == 200
    assert len(gateway.deep.requests) == 1
    assert '"rescue"' not in answer.text


async def test_several_choices_are_not_rescued(start):
    gateway = await start(score=0.9, **RESCUED)
    gateway.deep.then(cut())
    assert "rescue" not in (await gateway.chat(n=2)).json()["routing"]
    assert len(gateway.deep.requests) == 1


async def test_an_answer_needs_no_rescue(start):
    gateway = await start(score=0.9, **RESCUED)
    gateway.deep.then(whole("trained_thinking"), stream())
    assert (await gateway.chat()).json()["choices"][0]["message"]["content"] == "6"
    assert message_of(await gateway.chat(stream=True), True)[0] == "6"
    assert len(gateway.deep.requests) == 2


@pytest.mark.parametrize("streams", [False, True])
async def test_a_model_that_judges_itself_is_rescued_in_its_own_words(start, streams):
    gateway = await start(**{**RESCUED, **KAT})
    gateway.fast.then(
        says(f"<judge>hard</judge><think_on><think>{THOUGHT}", finish="length"),
        tokens({**PROMPT, "token_strs": ["assistant", "\n"]}),
        tokens(SUFFIX),
        completes("6\n", "</answer>"),
    )
    content, reasoning, routing = message_of(await gateway.chat(stream=streams), streams)
    assert (content, reasoning) == ("6", THOUGHT)
    assert (routing["reason"], routing["judgement"], routing["rescue"]) == ("self_judged", "hard", "continued")
    assert gateway.fast.requests[2].json["prompt"] == f"<think_on>\n<think>\n{THOUGHT}\n</think>\n\n<answer>\n"


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_during_a_rescue_is_noticed(start, streams):
    gateway = await start(score=0.9, **RESCUED)
    left = asyncio.Event()

    async def slow(turn):
        await turn.wait_gone(5)
        left.set()

    gateway.deep.then(cut(), tokens(PROMPT), tokens(SUFFIX), slow)
    client = await gateway.raw()
    await client.ask(stream=streams)
    assert await soon(lambda: len(gateway.deep.requests) == 4, 2)
    client.vanish()
    async with asyncio.timeout(5):
        await left.wait()
    await gateway.idle()
    assert await gateway.metric("thinkgate_client_disconnects_total", phase="rescuing") == 1
    assert await gateway.metric("thinkgate_requests_total", **{**REQUEST, "status": "499"}) == 1


async def test_other_requests_on_the_same_connection_are_unharmed(start):
    """The first answer's connection goes back to the replica before the second answer is asked for."""
    gateway = await start(score=0.9, **RESCUED)
    go = asyncio.Event()

    async def waits(turn):
        await go.wait()
        return await completes("6")(turn)

    gateway.deep.then(cut(), tokens(PROMPT), tokens(SUFFIX), waits)
    rescued = asyncio.create_task(gateway.chat())
    assert await soon(lambda: len(gateway.deep.requests) == 4, 2)
    other = await gateway.chat()
    assert other.status_code == 200
    go.set()
    assert message_of(await rescued, False)[0] == "6"
