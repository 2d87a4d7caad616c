"""Models that judge themselves, and thinking that comes as text: from the client's socket to the backend's."""

import asyncio
import json

import pytest

from tests.app.answers import sse
from tests.app.conftest import HELLO, both_ways
from tests.app.protocols import COMPLETIONS, MESSAGES, RESPONSES
from tests.app.scripted_upstream import error, recorded, whole

EASY = "<judge>\nA greeting; nothing to work out.\n</judge>\n\n<think_off>\n<answer>\nHello!\n</answer>"
HARD = "<judge>\nSeveral steps.\n</judge>\n\n<think_on>\n<think>\n7+5=2\n2*3=6\n</think>\n\n<answer>\n6\n</answer>"
KAT = {"routes": {"auto": {"family": "kat-v1", "instruct": "", "thinking": "", "pool": "fast"}}}
TALK = [*HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "and now?"}]


def says(text, finish="stop", size=3):
    """A backend that says `text`, streamed by a few characters or in one piece, as the request asks."""

    async def script(turn):
        usage = {"prompt_tokens": 9, "total_tokens": 39, "completion_tokens": 30}
        head = {"id": "chatcmpl-1", "created": 1, "model": "instruct"}
        if not turn.request.json.get("stream"):
            message = {"role": "assistant", "content": text, "reasoning": None}
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
            await turn.answer(200, json.dumps({**head, "choices": [choice], "usage": usage}).encode())
            return True
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [{"content": text[i : i + size]} for i in range(0, len(text), size)]
        chunks = [{"delta": delta, "finish_reason": None} for delta in deltas]
        chunks.append({"delta": {"content": ""}, "finish_reason": finish})
        await turn.stream_head()
        for chunk in chunks:
            event = {**head, "choices": [{"index": 0, "logprobs": None, **chunk}]}
            await turn.chunk(b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n")
        last = {**head, "choices": [], "usage": usage}
        await turn.chunk(b"data: " + json.dumps(last, separators=(",", ":")).encode() + b"\n\ndata: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")
        return True

    return script


def message_of(answer, stream):
    """(content, reasoning, routing) of an answer, streamed or not."""
    if not stream:
        body = answer.json()
        message = body["choices"][0]["message"]
        return message["content"] or "", message.get("reasoning") or "", body["routing"]
    seen = sse(answer.content)
    deltas = [c["delta"] for e in seen for c in e["choices"]]
    content, reasoning = ("".join(d.get(n) or "" for d in deltas) for n in ("content", "reasoning"))
    return content, reasoning, next(e["routing"] for e in seen if "routing" in e)


@both_ways
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "mode", "content", "reasoning", "words"),
    [
        (EASY, "instruct", "Hello!", "", "A greeting; nothing to work out."),
        (HARD, "thinking", "6", "7+5=2\n2*3=6", "Several steps."),
    ],
)
async def test_the_model_s_verdict_is_the_decision(start, stream, text, mode, content, reasoning, words):
    gateway = await start(**KAT)
    gateway.fast.then(says(text))
    answer = await gateway.chat(stream=stream)
    got = message_of(answer, stream)
    assert got[:2] == (content, reasoning)
    assert {k: got[2][k] for k in ("mode", "reason", "judge", "judgement")} == {
        "mode": mode,
        "reason": "self_judged",
        "judge": "self@kat-v1",
        "judgement": words,
    }
    assert "score" not in got[2]
    assert answer.headers["x-thinkgate-mode"] == mode
    assert answer.headers["x-thinkgate-reason"] == "self_judged"
    assert words not in str(answer.headers)
    asked = gateway.fast.requests[0].json
    assert asked["messages"] == HELLO
    assert asked["skip_special_tokens"] is False
    assert "continue_final_message" not in asked
    labels = {"mode": mode, "reason": "self_judged"}
    assert await gateway.metric("thinkgate_decisions_total", judge="self@kat-v1", profile="default", **labels) == 1
    assert await gateway.metric("thinkgate_requests_total", api="chat", status="200", **labels) == 1
    assert await gateway.metric("thinkgate_tokens_total", mode=mode, kind="prompt") == 9
    thought = await gateway.metric("thinkgate_tokens_total", mode=mode, kind="reasoning")
    assert (thought > 0) is (mode == "thinking")


INTENTS = [
    ({"enable_thinking": True}, {}, "thinking", "client_field"),
    ({"chat_template_kwargs": {"enable_thinking": False}}, {}, "instruct", "client_field"),
    ({"reasoning_effort": "high"}, {}, "thinking", "client_field"),
    ({"model": "auto-instruct"}, {}, "instruct", "client_model"),
    ({}, {"x-thinkgate-mode": "thinking"}, "thinking", "client_header"),
    ({"messages": [{"role": "user", "content": "hello /no_think"}]}, {}, "instruct", "soft_switch"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fields", "headers", "mode", "reason"), INTENTS)
async def test_a_client_s_word_is_put_into_the_model_s_mouth(start, stream, fields, headers, mode, reason):
    gateway = await start(**KAT)
    gateway.fast.then(says("7+5=2\n</think>\n\n<answer>\n2\n</answer>" if mode == "thinking" else "2\n</answer>"))
    answer = await gateway.chat(headers, stream=stream, **fields)
    content, reasoning, routing = message_of(answer, stream)
    assert (content, reasoning) == ("2", "7+5=2" if mode == "thinking" else "")
    assert (routing["mode"], routing["reason"]) == (mode, reason)
    assert "judgement" not in routing
    asked = gateway.fast.requests[0].json
    assert asked["messages"][:-1] == HELLO
    assert asked["messages"][-1] == {
        "role": "assistant",
        "content": "<think_on>\n<think>\n" if mode == "thinking" else "<think_off>\n<answer>\n",
    }
    assert (asked["add_generation_prompt"], asked["continue_final_message"]) == (False, True)
    assert not {"enable_thinking", "reasoning_effort", "chat_template_kwargs"} & set(asked)
    labels = {"mode": mode, "reason": reason, "judge": "", "profile": "default"}
    assert await gateway.metric("thinkgate_decisions_total", **labels) == 1


async def test_the_profile_s_word_is_too(start):
    gateway = await start(profiles={"default": {"mode": "instruct"}}, **KAT)
    gateway.fast.then(says("Hi\n</answer>"))
    _, _, routing = message_of(await gateway.chat(), False)
    assert (routing["mode"], routing["reason"]) == ("instruct", "profile")


async def test_a_tool_loop_goes_on_as_the_model_began_it(start):
    gateway = await start(**KAT)
    gateway.fast.then(says(HARD), says("x\n</think>\n<answer>7"))
    await gateway.chat(session_id="s", messages=TALK)
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    loop = [*TALK, {"role": "assistant", "content": None, "tool_calls": [call]}]
    loop.append({"role": "tool", "tool_call_id": "c", "content": "7"})
    content, reasoning, routing = message_of(await gateway.chat(session_id="s", messages=loop), False)
    assert (routing["mode"], routing["reason"]) == ("thinking", "session")
    assert (content, reasoning) == ("7", "x")


async def test_earlier_thinking_does_not_go_back_to_the_model(start):
    gateway = await start(**KAT)
    gateway.fast.then(says(EASY))
    await gateway.chat(messages=[*HELLO, {"role": "assistant", "content": "Hi", "reasoning": "hm"}, *HELLO])
    assert gateway.fast.requests[0].json["messages"][1] == {"role": "assistant", "content": "Hi"}


async def test_an_answer_that_the_client_began_is_read_from_there_on(start):
    gateway = await start(**KAT)
    gateway.fast.then(says("ore\n</think>\n<answer>7"))
    begun = [*HELLO, {"role": "assistant", "content": "<think_on>\n<think>\nm"}]
    answer = await gateway.chat(messages=begun, continue_final_message=True, add_generation_prompt=False)
    content, reasoning, routing = message_of(answer, False)
    assert (content, reasoning) == ("7", "ore")
    assert (routing["mode"], routing["reason"]) == ("thinking", "self_judged")
    assert gateway.fast.requests[0].json["messages"] == begun


@pytest.mark.parametrize("stream", [False, True])
async def test_without_any_tag_the_text_is_the_answer(start, stream):
    gateway = await start(**KAT)
    gateway.fast.then(says("Hello, 1 < 2."))
    content, reasoning, routing = message_of(await gateway.chat(stream=stream), stream)
    assert (content, reasoning, routing["mode"]) == ("Hello, 1 < 2.", "", "instruct")
    assert "no verdict" in routing["because"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_is_an_error(start, stream):
    gateway = await start(**KAT)
    gateway.fast.then(error(400, "too long"))
    answer = await gateway.chat(stream=stream)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "too long"


async def test_a_client_that_leaves_while_the_model_judges_is_noticed(start):
    gateway = await start(**KAT)

    async def judging(turn):
        await turn.stream_head()
        await turn.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"<judge>hm"},"finish_reason":null}]}\n\n')
        await turn.wait_gone(2)

    gateway.fast.then(judging)
    client = await gateway.raw()
    await client.ask(stream=True)
    while not gateway.fast.requests:
        await client.writer.drain()
        await asyncio.sleep(0.01)
    client.vanish()
    await gateway.idle()


async def test_a_dry_run_says_that_the_model_will_decide(start):
    gateway = await start(**KAT)
    answer = await gateway.http.post("/v1/route", json={"model": "auto", "messages": HELLO})
    assert answer.json()["reason"] == "self_judged"
    assert "judges itself" in answer.json()["because"]
    assert gateway.fast.requests == []


async def test_the_model_s_own_name_gets_the_raw_text(start):
    gateway = await start(**KAT)
    gateway.fast.then(says(HARD))
    answer = await gateway.chat(model="instruct")
    assert answer.json()["choices"][0]["message"]["content"] == HARD


async def test_headers_alone_are_told_where_the_profile_wants_no_more(start):
    gateway = await start(profiles={"default": {"metadata": "headers"}}, **KAT)
    gateway.fast.then(says(HARD))
    answer = await gateway.chat(stream=True)
    assert answer.headers["x-thinkgate-mode"] == "thinking"
    assert not any("routing" in event for event in sse(answer.content))


async def test_the_decision_log_has_the_verdict_and_none_of_the_words(start, tmp_path):
    gateway = await start(decisions={"url": f"sqlite:///{tmp_path}/d.db"}, **KAT)
    gateway.fast.then(says(HARD))
    made = (await gateway.chat()).headers["x-thinkgate-decision-id"]
    for _ in range(100):
        answer = await gateway.http.get(f"/v1/decisions/{made}")
        if answer.status_code == 200:
            break
    assert (answer.json()["mode"], answer.json()["reason"]) == ("thinking", "self_judged")
    assert "Several steps" not in answer.text


# ---------------------------------------------------------------------- a pair without a reasoning parser

TAGGED = {
    "families": {"mine": {"like": "generic-pair", "tags": "think", "begins": {"thinking": "<think>\n"}}},
    "routes": {"auto": {"family": "mine", "instruct": "fast", "thinking": "deep"}},
}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_think_block_never_reaches_the_content(start, stream):
    gateway = await start(score=0.9, **TAGGED)
    gateway.deep.then(says("7+5=2\n</think>\n\nIt is 2; `</think>` is a tag."))
    content, reasoning, routing = message_of(await gateway.chat(stream=stream), stream)
    assert (content, reasoning) == ("It is 2; `</think>` is a tag.", "7+5=2")
    assert routing["reason"] == "judge"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_instruct_answer_is_left_as_it_is(start, stream):
    gateway = await start(score=0.1, **TAGGED)
    gateway.fast.then(says("\n\nWrite <think>x</think>."))
    content, reasoning, _ = message_of(await gateway.chat(stream=stream), stream)
    assert (content, reasoning) == ("\n\nWrite <think>x</think>.", "")


async def test_a_recorded_answer_of_a_server_with_a_parser_passes_as_well(start):
    gateway = await start(score=0.9, **{**TAGGED, "families": {"mine": {"like": "generic-pair", "tags": "think"}}})
    gateway.deep.then(whole("trained_thinking"))
    message = (await gateway.chat()).json()["choices"][0]["message"]
    assert message["reasoning"] == json.loads(recorded("trained_thinking").body)["choices"][0]["message"]["reasoning"]
    assert message["content"] == "6"


# ---------------------------------------------------------------------- other protocols


@pytest.mark.parametrize("api", [MESSAGES, RESPONSES], ids=lambda api: api.name)
@pytest.mark.parametrize("headers", [{}, {"x-thinkgate-mode": "thinking"}])
async def test_where_its_tags_are_not_read_it_is_refused(start, api, headers):
    gateway = await start(**KAT)
    answer = await gateway.post(api.path, api.asking("hello"), headers)
    assert answer.status_code == 400
    assert "/v1/chat/completions" in api.error(answer.content)["message"]
    assert gateway.fast.requests == []


async def test_a_raw_prompt_is_continued_as_it_stands(start):
    gateway = await start(**KAT)
    answer = await gateway.post(COMPLETIONS.path, COMPLETIONS.asking("<judge>"))
    assert (answer.status_code, answer.headers["x-thinkgate-reason"]) == (200, "self_judged")
    asked = gateway.fast.requests[0].json
    assert asked["prompt"] == "<judge>"
    assert "messages" not in asked
    labels = {"mode": "instruct", "reason": "self_judged", "judge": "self@kat-v1", "profile": "default"}
    assert await gateway.metric("thinkgate_decisions_total", **labels) == 1
