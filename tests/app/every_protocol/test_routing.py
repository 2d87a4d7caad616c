"""Completions, Messages and Responses: what goes where, and what each side gets to see."""

import json

import pytest

from tests.app.conftest import both_ways
from tests.app.protocols import COMPLETIONS, MESSAGES, RESPONSES, events, every_api, routing_of
from tests.app.scripted_upstream import RECORDED
from tests.fixtures import recorded, recorded_stream


@both_ways
@every_api
@pytest.mark.parametrize(("score", "pool", "mode"), [(0.1, "fast", "instruct"), (0.9, "deep", "thinking")])
@pytest.mark.parametrize("streaming", [False, True])
async def test_the_judge_decides_and_that_pool_answers(start, api, score, pool, mode, streaming):
    gateway = await start(score=score)
    answer = await gateway.post(api.path, api.asking("hello", stream=streaming))
    asked, other = (gateway.fast, gateway.deep) if pool == "fast" else (gateway.deep, gateway.fast)
    assert answer.status_code == 200
    assert len(asked.requests) == 1
    assert other.requests == []
    assert asked.requests[0].path == api.path
    assert asked.requests[0].json["model"] == mode
    facts = {"mode": mode, "reason": "judge", "pool": pool, "judge": "constant@1", "score": f"{score:.4f}"}
    assert {name: answer.headers[f"x-thinkgate-{name}"] for name in facts} == facts
    (routing,) = routing_of(api, answer.content) if streaming else [answer.json()["routing"]]
    assert (routing["mode"], routing["reason"], routing["pool"], routing["model"]) == (mode, "judge", pool, mode)
    assert routing["decision_id"] == answer.headers["x-thinkgate-decision-id"]
    assert answer.headers["server-timing"].startswith("judge;dur=")
    assert answer.headers.get("x-accel-buffering") == ("no" if streaming else None)
    await gateway.idle()


@every_api
async def test_an_answer_is_the_backends_own_but_for_the_routing(gateway, api):
    answer = (await gateway.post(api.path, api.asking("hello"))).json()
    del answer["routing"]
    assert answer == json.loads(recorded(RECORDED[api.path][0]).body)


@every_api
async def test_a_stream_is_the_backends_own_but_for_the_routing(start, api):
    gateway = await start(profiles={"default": {"metadata": "headers"}})
    options = {"stream_options": {"include_usage": True}} if api is COMPLETIONS else {}
    answer = await gateway.post(api.path, api.asking("hello", stream=True, **options))
    assert answer.content == recorded_stream(RECORDED[api.path][1])
    assert answer.headers["content-type"].startswith("text/event-stream")


@every_api
@pytest.mark.parametrize("setting", ["headers", "body", "both"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_metadata_goes_where_the_profile_says(start, api, setting, streaming):
    gateway = await start(profiles={"default": {"metadata": setting}})
    answer = await gateway.post(api.path, api.asking("hello", stream=streaming))
    assert ("x-thinkgate-mode" in answer.headers) is (setting != "body")
    assert (b'"routing"' in answer.content) is (setting != "headers")


@every_api
async def test_a_models_own_name_goes_to_its_pool_untouched(gateway, api):
    body = api.asking("hello /think", "instruct", frobnicate={"a": [1, 2.50]}, temperature=0.123)
    raw = json.dumps(body).replace("2.5", "2.50").encode()
    answer = await gateway.http.post(api.path, content=raw)
    assert answer.status_code == 200
    assert gateway.fast.requests[0].json == body
    assert b"2.50" in gateway.fast.requests[0].body
    assert answer.headers["x-thinkgate-reason"] == "client_model"


@every_api
@pytest.mark.parametrize(
    ("headers", "model", "mode", "reason"),
    [({"x-thinkgate-mode": "thinking"}, "auto", "thinking", "client_header"),
     ({}, "auto-thinking", "thinking", "client_model"),
     ({"x-thinkgate-profile": "always"}, "auto", "thinking", "profile"),
     ({}, "auto", "instruct", "judge")],
)  # fmt: skip
async def test_the_ladders_other_rungs_hold(start, api, headers, model, mode, reason):
    gateway = await start(profiles={"always": {"mode": "thinking"}})
    answer = await gateway.post(api.path, api.asking("hello", model), headers)
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == (mode, reason)


@every_api
async def test_a_soft_switch_decides_and_does_not_reach_a_model_that_does_not_know_it(gateway, api):
    answer = await gateway.post(api.path, api.asking("solve this /think"))
    assert answer.headers["x-thinkgate-reason"] == "soft_switch"
    assert api.asked(gateway.deep.requests[0].json) == "solve this"


FIELDS = [
    (COMPLETIONS, {"reasoning_effort": "none"}, "instruct"),
    (COMPLETIONS, {"chat_template_kwargs": {"enable_thinking": True}}, "thinking"),
    (RESPONSES, {"reasoning": {"effort": "minimal"}}, "instruct"),
    (RESPONSES, {"reasoning": {"effort": "high", "summary": "auto"}}, "thinking"),
    (RESPONSES, {"chat_template_kwargs": {"enable_thinking": False}}, "instruct"),
    (MESSAGES, {"thinking": {"type": "disabled"}}, "instruct"),
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4096}, "thinking"),
    (MESSAGES, {"thinking": {"type": "adaptive"}}, "thinking"),
    (MESSAGES, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "thinking"),
]


@pytest.mark.parametrize(("api", "fields", "mode"), FIELDS, ids=lambda v: getattr(v, "name", str(v)))
async def test_the_protocols_own_fields_decide(start, api, fields, mode):
    gateway = await start(score=0.1 if mode == "thinking" else 0.9)
    answer = await gateway.post(api.path, api.asking("hello", **fields))
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == (mode, "client_field")


@pytest.mark.parametrize(
    ("api", "fields"),
    [(RESPONSES, {"reasoning": {"effort": "medium"}}),
     (COMPLETIONS, {"reasoning_effort": "medium"}),
     (MESSAGES, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}})],
    ids=lambda v: getattr(v, "name", ""),
)  # fmt: skip
async def test_a_profile_says_what_an_effort_means(start, api, fields):
    gateway = await start(profiles={"default": {"effort": {"medium": "auto", "low": "instruct"}}})
    answer = await gateway.post(api.path, api.asking("hello", **fields))
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("instruct", "judge")


async def test_a_messages_budget_is_told_and_sent_on_in_the_protocols_own_words(gateway):
    thinking = {"type": "enabled", "budget_tokens": 2048}
    answer = await gateway.post("/v1/messages", MESSAGES.asking("hello", thinking=thinking, max_tokens=4096))
    assert answer.headers["x-thinkgate-budget"] == "2048"
    assert gateway.deep.requests[0].json["thinking"] == thinking


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("api", "prompt", "completion"), [(MESSAGES, 27, 29), (RESPONSES, 27, 29), (COMPLETIONS, 3, None)],
    ids=lambda v: getattr(v, "name", ""),
)  # fmt: skip
async def test_tokens_times_and_status_are_counted(start, api, prompt, completion, streaming):
    gateway = await start(score=0.9)
    await gateway.post(api.path, api.asking("hello", stream=streaming))
    count = {"reason": "judge", "mode": "thinking", "status": "200"}
    assert await gateway.metric("thinkgate_requests_total", api=api.name, **count) == 1
    assert await gateway.metric("thinkgate_tokens_total", mode="thinking", kind="prompt") == prompt
    reasoning = await gateway.metric("thinkgate_tokens_total", mode="thinking", kind="reasoning")
    answer = await gateway.metric("thinkgate_tokens_total", mode="thinking", kind="answer")
    if completion:
        assert reasoning + answer == completion
        assert reasoning > answer > 0
    else:
        assert reasoning == 0
        assert answer > 0
    timed = 1 if streaming else 0
    assert await gateway.metric("thinkgate_time_to_first_token_seconds_count", mode="thinking") == timed
    assert await gateway.metric("thinkgate_time_to_answer_seconds_count", mode="thinking") == timed
    assert await gateway.metric("thinkgate_request_duration_seconds_count", mode="thinking") == 1


async def test_a_completions_usage_chunk_is_hidden_unless_it_was_asked_for(gateway):
    plain = await gateway.post("/v1/completions", COMPLETIONS.asking("hello", stream=True))
    assert b'"usage"' not in plain.content
    assert gateway.fast.requests[0].json["stream_options"] == {"include_usage": True}
    options = {"include_usage": True}
    told = await gateway.post("/v1/completions", COMPLETIONS.asking("hello", stream=True, stream_options=options))
    assert events(told.content)[-2][1]["usage"]["prompt_tokens"] == 3
    assert "routing" in events(told.content)[-2][1]
