"""Thinking budgets on the wire: what the Thinking backend is told, and servers that know no budgets."""

import json

import pytest

from tests.app.answers import is_openai_error, sse
from tests.app.conftest import both_ways
from tests.app.protocols import COMPLETIONS, MESSAGES
from tests.app.scripted_upstream import as_asked, error, recorded

POLICY = {
    "profiles": {
        "default": {
            "thinking_budget": {
                "effort": {"low": 1024, "high": 16384},
                "score": [{"at_least": 0.5, "tokens": 2000}, {"at_least": 0.8, "tokens": 8000}],
                "cap": 10000,
            }
        }
    }
}
REFUSAL = recorded("chat_instruct_ttb5").body


def refuses(stream):
    """A server without a reasoning parser, as it was recorded: 400, or an error in a stream with status 200."""

    async def script(turn):
        if stream:
            await turn.stream_head()
            await turn.chunk(recorded("chat_instruct_ttb5_stream").body.rstrip(b"\n") + b"\n\n")
            await turn.send(b"0\r\n\r\n")
        else:
            await turn.answer(400, REFUSAL)
        return True

    return script


async def sent(start, score=0.9, fields=None, headers=None, config=POLICY):
    """(the budget that the backend got, the one in the answer's header) for one request"""
    gateway = await start(score=score, **config)
    answer = await gateway.chat(headers, **(fields or {}))
    assert answer.status_code == 200
    request = (gateway.deep.requests or gateway.fast.requests)[0].json
    header = answer.headers.get("x-thinkgate-budget")
    return request.get("thinking_token_budget"), None if header is None else int(header)


@pytest.mark.parametrize(
    ("score", "fields", "budget"),
    [
        (0.9, {}, 8000),
        (0.6, {}, 2000),
        (0.9, {"thinking_token_budget": 500}, 500),
        (0.9, {"thinking_token_budget": 99999}, 10000),
        (0.9, {"reasoning_effort": "low"}, 1024),
        (0.9, {"reasoning_effort": "high"}, 10000),
        (0.9, {"reasoning_effort": "medium"}, 10000),
        (0.9, {"thinking": {"type": "enabled", "budget_tokens": 3000}}, 3000),
        (0.9, {"enable_thinking": True}, 10000),
        (0.1, {}, None),
        (0.1, {"thinking_token_budget": 500}, None),
    ],
)
async def test_the_thinking_backend_gets_the_budget_that_counts(start, score, fields, budget):
    got, told = await sent(start, score, fields)
    assert got == budget
    assert told == (budget if budget is not None else fields.get("thinking_token_budget"))


async def test_without_a_policy_nothing_is_invented(start):
    assert await sent(start, 0.9, config={}) == (None, None)
    assert await sent(start, 0.9, {"thinking_token_budget": 500}, config={}) == (500, 500)


async def test_a_budget_of_nothing_never_reaches_a_backend_that_thinks(start):
    got, _ = await sent(start, 0.9, {"thinking_token_budget": 0}, {"x-thinkgate-mode": "thinking"}, config={})
    assert got is None


async def test_a_model_without_budgets_gets_none(start):
    route = {"routes": {"auto": {"family": "gpt-oss", "instruct": "", "thinking": "", "pool": "deep"}}}
    got, _ = await sent(start, 0.9, config={**POLICY, **route})
    assert got is None


@both_ways
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_knows_no_budgets_is_asked_once_more_without_and_remembered(start, stream):
    gateway = await start(score=0.9, **POLICY)
    gateway.deep.then(refuses(stream))
    answer = await gateway.chat(stream=stream)
    assert answer.status_code == 200
    assert "x-thinkgate-budget" not in answer.headers
    assert answer.headers["x-thinkgate-mode"] == "thinking"
    first, second = (request.json for request in gateway.deep.requests)
    assert first.pop("thinking_token_budget") == 8000
    assert first == second
    assert (await gateway.chat(stream=stream, thinking_token_budget=5)).status_code == 200
    assert "thinking_token_budget" not in gateway.deep.requests[2].json
    assert len(gateway.deep.requests) == 3
    assert await gateway.metric("thinkgate_budgets_refused_total", pool="deep") == 1
    assert await gateway.metric("thinkgate_fallbacks_total", **{"from": "thinking"}) == 0
    if stream:
        assert sse(answer.content)


async def test_the_memory_is_the_pool_s(start):
    gateway = await start(score=0.9, **POLICY)
    gateway.deep.then(refuses(False))
    await gateway.chat()
    assert [pool.takes_budgets for pool in gateway.app.pools.values()] == [True, False]


async def test_another_refusal_is_the_client_s(start):
    gateway = await start(score=0.9, **POLICY)
    gateway.deep.then(error(400, "max_tokens is too large"), as_asked)
    assert is_openai_error(await gateway.chat(), 400)["message"] == "max_tokens is too large"
    assert len(gateway.deep.requests) == 1


async def test_a_refusal_without_a_budget_is_passed_on(start):
    gateway = await start(score=0.9)
    gateway.deep.then(refuses(False), as_asked)
    assert is_openai_error(await gateway.chat(), 400)
    assert len(gateway.deep.requests) == 1


async def test_the_model_s_own_name_is_never_asked_again(start):
    gateway = await start(score=0.9, **POLICY)
    gateway.fast.then(refuses(False), as_asked)
    answer = await gateway.chat(model="instruct", thinking_token_budget=5)
    assert is_openai_error(answer, 400)["message"] == json.loads(REFUSAL)["error"]["message"]


async def test_a_fallback_to_thinking_has_the_budget_too(start):
    gateway = await start(score=0.1, **POLICY)
    gateway.fast.then(error(500))
    answer = await gateway.chat()
    assert (answer.status_code, answer.headers["x-thinkgate-reason"]) == (200, "fallback")
    assert gateway.deep.requests[0].json["thinking_token_budget"] == 10000
    assert answer.headers["x-thinkgate-budget"] == "10000"


async def test_a_profile_s_budget_reaches_messages_in_the_protocol_s_own_words(start):
    gateway = await start(score=0.9, **POLICY)
    answer = await gateway.post("/v1/messages", MESSAGES.asking("hello", max_tokens=9000))
    assert answer.headers["x-thinkgate-budget"] == "8000"
    assert gateway.deep.requests[0].json["thinking"] == {"type": "enabled", "budget_tokens": 8000}
    asked = {"type": "enabled", "budget_tokens": 20000}
    await gateway.post("/v1/messages", MESSAGES.asking("hello", thinking=asked, max_tokens=30000))
    assert gateway.deep.requests[1].json["thinking"] == {"type": "enabled", "budget_tokens": 10000}


async def test_a_profile_s_budget_reaches_raw_completions(start):
    gateway = await start(score=0.6, **POLICY)
    await gateway.post("/v1/completions", COMPLETIONS.asking("hello"))
    assert gateway.deep.requests[0].json["thinking_token_budget"] == 2000
