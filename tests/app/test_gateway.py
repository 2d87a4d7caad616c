"""The gateway from the client's socket to the backend's: what goes where, and what each side gets to see."""

import json
import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.answers import AUTH, is_openai_error, sse
from tests.app.conftest import HELLO, both_ways
from tests.fixtures import recorded

# ---------------------------------------------------------------------------------------- the main job


@both_ways
@pytest.mark.parametrize(("score", "pool", "mode"), [(0.1, "fast", "instruct"), (0.9, "deep", "thinking")])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_judge_decides_and_that_pool_answers(start, score, pool, mode, stream):
    gateway = await start(score=score)
    answer = await gateway.chat(stream=stream)
    asked, other = (gateway.fast, gateway.deep) if pool == "fast" else (gateway.deep, gateway.fast)
    assert answer.status_code == 200
    assert len(asked.requests) == 1
    assert other.requests == []
    assert asked.requests[0].json["model"] == mode
    facts = {
        "x-thinkgate-mode": mode,
        "x-thinkgate-reason": "judge",
        "x-thinkgate-pool": pool,
        "x-thinkgate-profile": "default",
        "x-thinkgate-judge": "constant@1",
        "x-thinkgate-score": f"{score:.4f}",
        "x-thinkgate-threshold": "0.5",
    }
    assert {name: answer.headers[name] for name in facts} == facts
    routing = sse(answer.content)[-1]["routing"] if stream else answer.json()["routing"]
    assert (routing["mode"], routing["reason"], routing["pool"], routing["model"]) == (mode, "judge", pool, mode)
    assert (routing["score"], routing["threshold"], routing["judge"]) == (score, 0.5, "constant@1")
    assert routing["decision_id"] == answer.headers["x-thinkgate-decision-id"]
    assert answer.headers["server-timing"].startswith("judge;dur=")
    await gateway.idle()


async def test_an_answer_is_the_backends_own_but_for_the_routing(gateway):
    answer = await gateway.chat()
    body = answer.json()
    del body["routing"]
    assert body == json.loads(recorded("chat_instruct").body)


async def test_a_stream_ends_in_done_and_hides_the_usage_chunk_that_nobody_asked_for(gateway):
    answer = await gateway.chat(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b'"usage"' not in answer.content
    assert gateway.fast.requests[0].json["stream_options"] == {"include_usage": True}
    assert [c for c in sse(answer.content) if "routing" in c] == [sse(answer.content)[-1]]
    assert await gateway.metric("thinkgate_tokens_total", mode="instruct", kind="answer") > 0


async def test_a_usage_chunk_that_was_asked_for_is_shown(gateway):
    answer = await gateway.chat(stream=True, stream_options={"include_usage": True})
    assert sse(answer.content)[-1]["usage"]["prompt_tokens"] > 0
    assert "routing" in sse(answer.content)[-1]


async def test_a_thinking_budget_is_told_and_sent(start):
    gateway = await start(score=0.9)
    answer = await gateway.chat(thinking_token_budget=100)
    assert answer.headers["x-thinkgate-budget"] == "100"
    assert answer.json()["routing"]["budget"] == 100
    assert gateway.deep.requests[0].json["thinking_token_budget"] == 100


@both_ways
async def test_proxies_in_front_are_asked_not_to_hold_a_stream_back(gateway):
    assert (await gateway.chat(stream=True)).headers["x-accel-buffering"] == "no"
    assert "x-accel-buffering" not in (await gateway.chat()).headers


@pytest.mark.parametrize(
    ("setting", "in_headers", "in_body"), [("headers", True, False), ("body", False, True), ("both", True, True)]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_metadata_goes_where_the_profile_says(start, setting, in_headers, in_body, stream):
    gateway = await start(profiles={"default": {"metadata": setting}})
    answer = await gateway.chat(stream=stream)
    assert ("x-thinkgate-mode" in answer.headers) is in_headers
    assert (b'"routing"' in answer.content) is in_body


@pytest.mark.parametrize(
    ("headers", "fields", "mode", "reason"),
    [
        ({}, {"model": "auto-thinking"}, "thinking", "client_model"),
        ({}, {"model": "thinking"}, "thinking", "client_model"),
        ({"x-thinkgate-mode": "thinking"}, {}, "thinking", "client_header"),
        ({"x-thinkgate-mode": "Thinking"}, {}, "thinking", "client_header"),
        ({"x-thinkgate-mode": "auto"}, {"enable_thinking": True}, "instruct", "judge"),
        ({}, {"reasoning_effort": "none"}, "instruct", "client_field"),
        ({}, {"reasoning_effort": "high"}, "thinking", "client_field"),
        ({}, {"messages": [{"role": "user", "content": "hi /think"}]}, "thinking", "soft_switch"),
        (
            {},
            {"messages": [{"role": "user", "content": "hi /think"}], "enable_thinking": False},
            "instruct",
            "client_field",
        ),
        (
            {},
            {"messages": [{"role": "user", "content": "hi /no_think"}], "enable_thinking": True},
            "instruct",
            "soft_switch",
        ),
    ],
)
async def test_every_word_of_a_client_reaches_the_ladder(gateway, headers, fields, mode, reason):
    answer = await gateway.chat(headers, **fields)
    assert answer.status_code == 200
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == (mode, reason)
    asked = gateway.deep if mode == "thinking" else gateway.fast
    assert len(asked.requests) == 1
    assert b"/think" not in asked.requests[0].body
    assert b"/no_think" not in asked.requests[0].body


async def test_a_profile_may_force_the_mode(start):
    gateway = await start(profiles={"default": {"mode": "thinking"}})
    answer = await gateway.chat({"x-thinkgate-mode": "instruct"})
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("thinking", "profile")


async def test_a_pools_own_model_gets_the_request_untouched(gateway):
    body = (
        b'{"model":"thinking","messages":[{"role":"user","content":"x \\/think"}],"enable_thinking":true, "seed":1e3}'
    )
    answer = await gateway.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 200
    assert gateway.deep.requests[0].json == json.loads(body)
    assert b'"x \\/think"' in gateway.deep.requests[0].body
    assert b"1e3" in gateway.deep.requests[0].body


async def test_unknown_fields_reach_the_backend_byte_for_byte(gateway):
    extra = (
        b'"a_number":1e400,"price":0.10,"big":123456789012345678901234567890,"esc":"\\u00e9\\/","dup":{ "x":1, "x":2 }'
    )
    body = b'{"model":"auto","messages":[{"role":"user","content":"hi"}],%b}' % extra
    answer = await gateway.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 200
    sent = gateway.fast.requests[0].body
    assert extra in sent
    assert b'"messages":[{"role":"user","content":"hi"}]' in sent
    assert b'"temperature":0.7' in sent


async def test_later_turns_of_a_session_stay_in_a_tool_loop(start):
    gateway = await start(score=0.0)
    session = {"x-session-id": "s"}
    await gateway.chat({**session, "x-thinkgate-mode": "thinking"})
    loop = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "2"},
    ]
    answer = await gateway.chat(session, messages=loop)
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("thinking", "session")


async def test_two_tenants_sessions_of_one_name_are_two(start):
    gateway = await start(auth=AUTH)
    loop = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "2"},
    ]
    session = {"x-session-id": "s"}
    await gateway.chat({**session, "authorization": "Bearer key-a", "x-thinkgate-mode": "thinking"})
    answer = await gateway.chat({**session, "authorization": "Bearer key-b"}, messages=loop)
    assert answer.headers["x-thinkgate-mode"] == "instruct"


async def test_a_hybrid_is_told_which_way_to_answer(start):
    gateway = await start(score=0.9, routes={"auto": {"family": "qwen3-hybrid", "pool": "fast"}})
    assert (await gateway.chat()).headers["x-thinkgate-mode"] == "thinking"
    assert gateway.fast.requests[0].json["chat_template_kwargs"] == {"enable_thinking": True}
    await gateway.chat({"x-thinkgate-mode": "instruct"})
    assert gateway.fast.requests[1].json["chat_template_kwargs"] == {"enable_thinking": False}


# ---------------------------------------------------------------------------------------- headers


@both_ways
async def test_a_request_id_is_kept_and_sent_on(gateway):
    answer = await gateway.chat({"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert gateway.fast.requests[0].headers["x-request-id"] == "mine-1"


async def test_a_request_without_an_id_gets_one(gateway):
    first, second = await gateway.chat(), await gateway.chat()
    assert first.headers["x-request-id"].startswith("req_")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert gateway.fast.requests[0].headers["x-request-id"] == first.headers["x-request-id"]


@both_ways
async def test_a_refused_request_keeps_its_id_too(gateway):
    answer = await gateway.chat({"x-request-id": "mine-2"}, model="nobody")
    assert answer.status_code == 404
    assert answer.headers["x-request-id"] == "mine-2"


@both_ways
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("GET", "/v1/models/nobody"), ("GET", "/v1/nothing"), ("GET", "/v1/chat/completions"),
     ("DELETE", "/v1/models"), ("GET", "/health"), ("POST", "/v1/route")],
)  # fmt: skip
async def test_every_answer_has_an_id(gateway, method, path):
    answer = await gateway.http.request(method, path, headers={"x-request-id": "mine-3"})
    assert answer.headers.get_list("x-request-id") == ["mine-3"]
    answer = await gateway.http.request(method, path)
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_refused_key_has_an_id(start):
    gateway = await start(auth=AUTH)
    for path in ("/v1/chat/completions", "/v1/models"):
        answer = await gateway.http.post(path, headers={"authorization": "Bearer wrong", "x-request-id": "mine-4"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (401, "mine-4")


@both_ways
async def test_client_keys_and_hop_by_hop_headers_never_reach_the_backend(start):
    gateway = await start(auth=AUTH, pools={"fast": {"model": "instruct", "replicas": ["http://127.0.0.1:1"]}})
    replica = {"model": "instruct", "replicas": [gateway.fast.url], "api_key": "backend-key"}
    gateway2 = await start(auth=AUTH, pools={"fast": replica})
    headers = {
        "authorization": "Bearer key-a",
        "x-api-key": "key-a",
        "cookie": "session=1",
        "te": "trailers",
        "connection": "keep-alive, x-secret",
        "x-secret": "1",
        "proxy-authorization": "Basic x",
        "x-thinkgate-mode": "instruct",
        "accept-encoding": "gzip",
        "x-harmless": "2",
    }
    assert (await gateway2.chat(headers)).status_code == 200
    sent = gateway.fast.requests[0].headers
    assert sent["authorization"] == "Bearer backend-key"
    assert sent["x-harmless"] == "2"
    assert not set(sent) & {"x-api-key", "cookie", "te", "x-secret", "proxy-authorization", "x-thinkgate-mode"}
    assert "gzip" not in sent.get("accept-encoding", "")
    assert b"key-a" not in gateway.fast.requests[0].raw_head


async def test_without_a_backend_key_no_authorization_is_sent(start):
    gateway = await start(auth=AUTH)
    assert (await gateway.chat({"authorization": "Bearer key-a"})).status_code == 200
    assert "authorization" not in gateway.fast.requests[0].headers


# ---------------------------------------------------------------------------------------- the control plane


async def test_models_lists_aliases_and_pools_in_openais_shape(gateway):
    listed = (await gateway.http.get("/v1/models")).json()
    assert listed["object"] == "list"
    ids = [entry["id"] for entry in listed["data"]]
    assert ids == ["auto", "auto-instruct", "auto-thinking", "instruct", "thinking"]
    assert all(entry["object"] == "model" and isinstance(entry["created"], int) for entry in listed["data"])
    for entry in listed["data"]:
        assert (await gateway.http.get(f"/v1/models/{entry['id']}")).json() == entry


async def test_an_unknown_model_id_is_404(gateway):
    assert is_openai_error(await gateway.http.get("/v1/models/nobody/else"), 404)["code"] == "model_not_found"


async def test_every_listed_model_can_be_asked(gateway):
    for entry in (await gateway.http.get("/v1/models")).json()["data"]:
        assert (await gateway.chat(model=entry["id"])).status_code == 200


async def test_a_dry_run_tells_the_decision_and_asks_no_backend(start):
    gateway = await start(judge={"kind": "heuristic"})
    messages = [
        {"role": "user", "content": "Prove that there is no largest prime number. Show that the theorem holds."}
    ]
    told = (await gateway.http.post("/v1/route", json={"model": "auto", "messages": messages})).json()
    assert (told["mode"], told["reason"], told["pool"], told["judge"]) == ("thinking", "judge", "deep", "heuristic@1")
    assert told["score"] >= told["threshold"]
    assert {f["name"] for f in told["features"]} >= {"asks for a proof or derivation"}
    assert gateway.fast.requests == gateway.deep.requests == []
    assert (await gateway.chat(messages=messages)).headers["x-thinkgate-score"] == f"{told['score']:.4f}"


async def test_a_dry_run_honours_headers(gateway):
    body = {"model": "auto", "messages": HELLO}
    told = (await gateway.http.post("/v1/route", json=body, headers={"x-thinkgate-mode": "thinking"})).json()
    assert (told["mode"], told["reason"], told["score"]) == ("thinking", "client_header", None)


async def test_health_tells_what_can_be_answered(start):
    gateway = await start()
    assert (await gateway.http.get("/health/live")).json() == {"status": "ok"}
    assert (await gateway.http.get("/health/ready")).json() == {"status": "ok", "routes": {"auto": True}}
    health = (await gateway.http.get("/health")).json()
    assert health["pools"]["fast"] == {"up": True, "replicas_up": 1, "replicas": 1}


async def test_a_gateway_without_any_backend_is_not_ready(start):
    down = {"model": "instruct", "replicas": ["http://127.0.0.1:1"]}
    gateway = await start(pools={"fast": down, "deep": {**down, "model": "thinking"}})
    assert (await gateway.http.get("/health/ready")).status_code == 503
    assert (await gateway.http.get("/health/live")).status_code == 200


@pytest.mark.parametrize(("fallback", "status"), [(True, 200), (False, 503)])
async def test_one_pool_of_two_is_enough_where_fallback_is_allowed(start, fallback, status):
    down = {"model": "thinking", "replicas": ["http://127.0.0.1:1"]}
    gateway = await start(pools={"deep": down}, profiles={"default": {"fallback": fallback}})
    assert (await gateway.http.get("/health/ready")).status_code == status


async def test_version_and_openapi_are_there(gateway):
    assert (await gateway.http.get("/version")).json()["name"] == "thinkgate"
    paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    assert {"/v1/chat/completions", "/v1/models", "/v1/route", "/health", "/metrics"} <= set(paths)


async def test_metrics_can_be_parsed_and_hold_the_contracts_names(gateway):
    await gateway.chat()
    await gateway.chat(stream=True)
    await gateway.chat(model="nobody")
    text = (await gateway.http.get("/metrics")).text
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert {
        f"thinkgate_{name}"
        for name in (
            *("requests", "decisions", "judge_duration_seconds", "judge_score", "threshold", "overhead_seconds"),
            *("time_to_first_token_seconds", "time_to_answer_seconds", "inter_token_seconds", "tokens", "in_flight"),
            *(
                "request_duration_seconds",
                "backend_up",
                "upstream_errors",
                "retries",
                "fallbacks",
                "client_disconnects",
            ),
        )
    } <= set(families)
    labels = ("thinkgate_requests_total", {"api": "chat", "mode": "instruct", "reason": "judge", "status": "200"})
    assert [s.value for s in families["thinkgate_requests"].samples if (s.name, s.labels) == labels] == [2.0]
    labels = {"mode": "instruct", "reason": "judge", "judge": "constant@1", "profile": "default"}
    assert await gateway.metric("thinkgate_decisions_total", **labels) == 2
    assert await gateway.metric("thinkgate_judge_score_count") == 2
    assert await gateway.metric("thinkgate_threshold", profile="default") == 0.5
    assert await gateway.metric("thinkgate_requests_total", api="chat", mode="none", reason="none", status="404") == 1
    assert await gateway.metric("thinkgate_time_to_first_token_seconds_count", mode="instruct") == 1
    assert "nobody" not in text


@both_ways
async def test_no_prompt_and_no_key_is_in_logs_or_metrics(start, caplog):
    caplog.set_level(logging.DEBUG)
    gateway = await start(auth={"keys": [{"key": "SECRETKEY"}]})
    headers = {"authorization": "Bearer SECRETKEY", "cookie": "SECRETCOOKIE"}
    prompt = [{"role": "user", "content": "SECRETPROMPT"}]
    await gateway.chat(headers, messages=prompt)
    await gateway.chat(headers, messages=prompt, stream=True)
    await gateway.chat(headers, messages=prompt, model="SECRETMODEL")
    await gateway.chat(headers, messages=prompt, stream="SECRETSTREAM")
    await gateway.chat({"authorization": "Bearer SECRETWRONG"}, messages=prompt)
    await gateway.http.post("/v1/chat/completions", headers=headers, content=b'{"SECRETJSON')
    await gateway.http.post("/v1/route", headers=headers, json={"model": "auto", "messages": prompt})

    async def refuses(turn):
        await turn.answer(400, b'{"error":{"message":"SECRETPROMPT is too long","type":"T","param":null,"code":400}}')
        return True

    gateway.fast.then(refuses)
    await gateway.chat(headers, messages=prompt)
    metrics = (await gateway.http.get("/metrics")).text
    records = "\n".join(
        r.getMessage() + str(r.exc_text or "")
        for r in caplog.records
        if not r.name.startswith(("httpcore", "httpx", "asyncio"))
    )
    assert "SECRET" not in metrics
    assert "SECRET" not in records
