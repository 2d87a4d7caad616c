"""The gateway from the client's socket to the backend's: what goes where, and what each side gets to see."""

import asyncio
import json
import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.conftest import HELLO, both_ways
from tests.app.scripted_upstream import whole
from tests.fixtures import recorded

AUTH = {
    "keys": [
        {"key": "key-a", "tenant": "a"},
        {"key": "key-b", "tenant": "b", "profiles": ["research"]},
        {"key": "key-any", "profiles": ["*"]},
    ]
}


def sse(body):
    """The JSON payloads of a stream's body, which must end in [DONE]."""
    payloads = [e.removeprefix(b"data: ") for e in body[:-2].split(b"\n\n")]
    assert payloads[-1] == b"[DONE]"
    return [json.loads(p) for p in payloads[:-1]]


def is_openai_error(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


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


# ---------------------------------------------------------------------------------------- keys

GOOD = [{"authorization": "Bearer key-a"}, {"authorization": "bearer  key-a"}, {"x-api-key": "key-a"}]
BAD = [
    {},
    {"authorization": "Bearer wrong"},
    {"authorization": "Bearer"},
    {"authorization": "key-a"},
    {"authorization": "Basic key-a"},
    {"authorization": "Bearer key-a-and-more"},
    {"authorization": "Bearer KEY-A"},
    {"x-api-key": "wrong"},
    {"authorization": "Bearer wrong", "x-api-key": "key-a"},
]


@both_ways
@pytest.mark.parametrize("headers", GOOD, ids=str)
async def test_a_good_key_opens(start, headers):
    gateway = await start(auth=AUTH)
    assert (await gateway.chat(headers)).status_code == 200
    assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", BAD, ids=str)
async def test_a_bad_key_is_401_everywhere_and_no_backend_hears_of_it(start, headers):
    gateway = await start(auth=AUTH)
    for answer in (
        await gateway.chat(headers),
        await gateway.chat(headers, stream=True),
        await gateway.http.get("/v1/models", headers=headers),
        await gateway.http.post("/v1/route", headers=headers, json={}),
        await gateway.http.get("/v1/nothing", headers=headers),
        await gateway.http.get("/openapi.json", headers=headers),
        await gateway.http.get("/version", headers=headers),
    ):
        assert is_openai_error(answer, 401)["type"] == "authentication_error"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert gateway.fast.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/%76%31/models",
        "/v1/%6dodels",
        "//v1/models",
        "/health/../v1/models",
        "/./v1/models",
        "/v1/models/",
        "/V1/models",
        "/v1/models%00",
        "/health%2f..%2fv1/models",
        "/v1/models?x=/health",
        "/metrics/../v1/models",
    ],
)
async def test_no_spelling_of_a_path_gets_round_the_key(start, path):
    gateway = await start(auth=AUTH)
    raw = await gateway.raw()
    await raw.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    status, _, body = await raw.answer()
    assert status == 401
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    await raw.close()


@pytest.mark.parametrize(
    "path",
    ["/%76%31/chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completions?x=/health", "/v1/chat/completions/"],
)
async def test_no_spelling_of_the_chat_path_gets_round_the_key(start, path):
    gateway = await start(auth=AUTH)
    raw = await gateway.raw()
    await raw.ask(None, path=path)
    assert (await raw.answer())[0] == 401
    await raw.close()
    assert gateway.fast.requests == []


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
async def test_operations_stay_open(start, path):
    gateway = await start(auth=AUTH)
    assert (await gateway.http.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("key", "profile", "status"),
    [
        ("key-b", "research", 200),
        ("key-a", "research", 400),
        ("key-b", "other", 400),
        ("key-any", "other", 200),
        ("key-any", "nonsense", 400),
    ],
)
async def test_a_profile_may_be_chosen_only_where_the_key_may(start, key, profile, status):
    gateway = await start(auth=AUTH, profiles={"default": {}, "research": {"mode": "thinking"}, "other": {}})
    answer = await gateway.chat({"authorization": f"Bearer {key}", "x-thinkgate-profile": profile})
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["x-thinkgate-profile"] == profile


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"model":"auto"}',
        b'{"model":"auto","messages":[]}',
        b'{"model":"auto","messages":{}}',
        b"[" * 100_000,
    ],
    ids=lambda c: repr(c[:20]),
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_bad_input_is_400_and_the_gateway_lives(gateway, path, content):
    is_openai_error(await gateway.http.post(path, content=content), 400)
    assert (await gateway.chat()).status_code == 200


async def test_an_unknown_model_is_404_and_names_the_known_ones(gateway):
    error = is_openai_error(await gateway.chat(model="nobody"), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "auto-thinking" in error["message"]


async def test_a_wrong_mode_header_is_400(gateway):
    assert "x-thinkgate-mode" in is_openai_error(await gateway.chat({"x-thinkgate-mode": "maybe"}), 400)["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/nothing",
        "/",
        "/v1/",
        "/v1/chat",
        "/sleep",
        "/collective_rpc",
        "/update_weights",
        "/server_info",
        "/v1/chat/completions/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_is_404(gateway, method, path):
    assert is_openai_error(await gateway.http.request(method, path), 404)["code"] == "not_found"
    assert gateway.fast.requests == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("GET", "/v1/route", "POST"),
    ],
)
async def test_a_wrong_method_is_405_and_says_which_is_right(gateway, method, path, allow):
    answer = await gateway.http.request(method, path)
    assert is_openai_error(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == allow


@both_ways
async def test_head_gets_no_body(gateway):
    raw = await gateway.raw()
    await raw.send(b"HEAD /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    data = await asyncio.wait_for(raw.reader.read(), 30)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405")
    assert body == b""
    await raw.close()


@both_ways
async def test_get_with_a_body_is_answered_and_the_connection_goes_on(gateway):
    raw = await gateway.raw()
    await raw.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello")
    assert (await raw.answer())[0] == 200
    await raw.ask(None)
    assert (await raw.answer())[0] == 200
    await raw.close()


@both_ways
async def test_a_body_of_33_megabytes_is_413(gateway):
    answer = await gateway.http.post("/v1/chat/completions", content=b"x" * 33 * 1024 * 1024)
    assert is_openai_error(answer, 413)["code"] == "request_too_large"
    assert (await gateway.chat()).status_code == 200


@both_ways
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
async def test_a_chunked_body_that_grows_too_large_is_413(start, path):
    gateway = await start(server={"max_body_bytes": 2048})
    raw = await gateway.raw()
    await raw.send(b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % path.encode())
    for _ in range(4):
        await raw.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await asyncio.sleep(0.01)
    status, _, body = await raw.answer()
    assert status == 413
    assert json.loads(body)["error"]["code"] == "request_too_large"
    raw.vanish()


@both_ways
async def test_a_chunked_body_is_taken(gateway):
    async def parts():
        yield b'{"model":"auto",'
        await asyncio.sleep(0.01)
        yield b'"messages":[{"role":"user","content":"hi"}]}'

    answer = await gateway.http.post("/v1/chat/completions", content=parts())
    assert answer.status_code == 200
    assert gateway.fast.requests[0].json["messages"] == [{"role": "user", "content": "hi"}]


@both_ways
async def test_expect_100_continue_is_answered(gateway):
    body = json.dumps({"model": "auto", "messages": HELLO}).encode()
    raw = await gateway.raw()
    await raw.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )
    assert (await raw.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await raw.send(body)
    assert (await raw.answer())[0] == 200
    assert "expect" not in gateway.fast.requests[0].headers
    await raw.close()


@both_ways
async def test_a_body_that_does_not_come_is_408(start):
    gateway = await start(server={"body_timeout_s": 0.3})
    raw = await gateway.raw()
    await raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    status, _, body = await raw.answer()
    assert status == 408
    assert json.loads(body)["error"]["code"] == "request_timeout"
    raw.vanish()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 hello\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nx y: 1\r\n\r\n"]
)
async def test_what_is_no_http_is_400(gateway, way, sent):
    raw = await gateway.raw()
    await raw.send(sent)
    data = await asyncio.wait_for(raw.reader.read(), 30)
    assert data.startswith(b"HTTP/1.1 400")
    if way == "lane":
        assert b'"code":"invalid_http"' in data
    await raw.close()


@both_ways
async def test_pipelined_requests_are_answered_in_order(gateway):
    gateway.fast.then(whole("chat_instruct"), whole("chat_instruct_stop"), whole("chat_instruct_n2"))
    raw = await gateway.raw()
    for i in range(3):
        await raw.ask(None, f"x-request-id: r{i}")
    got = [await raw.answer() for _ in range(3)]
    assert [status for status, _, _ in got] == [200] * 3
    assert [headers["x-request-id"] for _, headers, _ in got] == ["r0", "r1", "r2"]
    ids = [json.loads(recorded(n).body)["id"] for n in ("chat_instruct", "chat_instruct_stop", "chat_instruct_n2")]
    assert [json.loads(body)["id"] for _, _, body in got] == ids
    await raw.close()
    await gateway.idle()


@both_ways
async def test_a_slow_answer_is_not_overtaken_by_a_pipelined_fast_one(gateway):
    async def slow(turn):
        await asyncio.sleep(0.1)
        return await whole("chat_instruct_stop")(turn)

    gateway.fast.then(slow, whole("chat_instruct"))
    raw = await gateway.raw()
    await raw.ask(None, "x-request-id: slow")
    await raw.ask(None, "x-request-id: fast")
    assert [(await raw.answer())[1]["x-request-id"] for _ in range(2)] == ["slow", "fast"]
    await raw.close()


@both_ways
async def test_a_connection_serves_one_request_after_another_of_every_kind(gateway):
    raw = await gateway.raw()
    for _ in range(3):
        await raw.ask(None)
        assert (await raw.answer())[0] == 200
        await raw.ask(None, stream=True)
        assert (await raw.answer())[2].endswith(b"data: [DONE]\n\n")
        await raw.ask(b"{")
        assert (await raw.answer())[0] == 400
        await raw.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await raw.answer())[0] == 200
    await raw.close()
    assert gateway.fast.connections == 1, "the connection to the backend is kept as well"


@both_ways
async def test_http_1_0_and_connection_close_end_the_connection(gateway):
    for head in (
        b"POST /v1/chat/completions HTTP/1.0\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n",
    ):
        body = json.dumps({"model": "auto", "messages": HELLO}).encode()
        raw = await gateway.raw()
        await raw.send(head + b"host: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        data = await asyncio.wait_for(raw.reader.read(), 30)
        assert b" 200 " in data.split(b"\r\n")[0]
        assert data.rstrip().endswith(b"}")
        await raw.close()


@both_ways
async def test_a_large_header_does_not_break_the_gateway(gateway):
    raw = await gateway.raw()
    await raw.ask(None, "x-codex-turn-metadata: " + "x" * 60_000)
    status = (await raw.answer())[0]
    assert status in (200, 400, 431)
    raw.vanish()
    assert (await gateway.chat()).status_code == 200


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
    assert await gateway.metric("thinkgate_decisions_total", mode="instruct", reason="judge", judge="constant@1") == 2
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
