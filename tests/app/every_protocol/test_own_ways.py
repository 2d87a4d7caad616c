"""What one protocol has of its own, the dry run, and judges that ask a backend."""

import json

import pytest

from tests.app.answers import AUTH
from tests.app.protocols import MESSAGES, RESPONSES, events, every_api
from tests.app.scripted_upstream import error, stream, whole
from tests.fixtures import recorded, recorded_stream


async def test_anthropics_headers_pass_and_the_request_id_has_its_name(gateway):
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "x-1", "x-api-key": "secret"}
    answer = await gateway.post("/v1/messages?beta=true", MESSAGES.asking("hello"), headers)
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    sent = gateway.fast.requests[0].headers
    assert (sent["anthropic-version"], sent["anthropic-beta"]) == ("2023-06-01", "x-1")
    assert "x-api-key" not in sent


async def test_tokens_are_counted_by_the_pool_that_would_answer_and_leave_no_trace(start):
    gateway = await start(score=0.9)
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    answer = await gateway.post("/v1/messages/count_tokens", body)
    assert answer.json() == json.loads(recorded("messages_instruct_count_tokens").body)
    assert gateway.deep.requests[0].path == "/v1/messages/count_tokens"
    assert answer.headers["x-thinkgate-pool"] == "deep"
    assert len(gateway.app.router.sessions) == 0
    labels = {"mode": "thinking", "reason": "judge", "judge": "constant@1", "profile": "default"}
    assert await gateway.metric("thinkgate_decisions_total", **labels) == 0
    assert MESSAGES.error((await gateway.post("/v1/messages/count_tokens", {"model": "auto"})).content)


async def test_models_are_told_to_both_kinds_of_client(gateway):
    data = (await gateway.http.get("/v1/models")).json()
    assert data["data"][0]["object"] == "model"
    assert data["data"][0]["type"] == "model"
    assert data["data"][0]["display_name"] == data["first_id"] == "auto"
    assert data["has_more"] is False
    unknown = await gateway.http.get("/v1/models/nope", headers={"anthropic-version": "2023-06-01"})
    assert unknown.status_code == 404
    MESSAGES.error(unknown.content)
    assert (await gateway.http.get("/v1/models/nope")).json()["error"]["code"] == "model_not_found"


async def test_a_response_is_asked_for_where_it_was_made(start):
    gateway = await start(score=0.9)
    made = (await gateway.post("/v1/responses", RESPONSES.asking("hello"))).json()
    gateway.deep.then(whole("resp_trained"), whole("resp_trained"))
    got = await gateway.http.get(f"/v1/responses/{made['id']}?include=x", headers={"x-request-id": "r1"})
    assert got.content == recorded("resp_trained").body
    assert got.headers["x-request-id"] == "r1"
    assert gateway.deep.requests[-1].method == "GET"
    assert gateway.deep.requests[-1].path == f"/v1/responses/{made['id']}?include=x"
    cancelled = await gateway.http.post(f"/v1/responses/{made['id']}/cancel")
    assert cancelled.status_code == 200
    assert gateway.deep.requests[-1].path == f"/v1/responses/{made['id']}/cancel"
    assert gateway.fast.requests == []


async def test_a_streamed_response_is_asked_for_where_it_was_made_and_may_be_streamed_again(gateway):
    answer = await gateway.post("/v1/responses", RESPONSES.asking("hello", stream=True))
    made = events(answer.content)[0][1]["response"]["id"]
    gateway.fast.then(stream("resp_trained_stream"))
    again = await gateway.http.get(f"/v1/responses/{made}?stream=true")
    assert again.content == recorded_stream("resp_trained_stream")


async def test_nobody_reaches_another_tenants_response(start):
    gateway = await start(auth=AUTH)
    a, b = {"authorization": "Bearer key-a"}, {"authorization": "Bearer key-b"}
    made = (await gateway.post("/v1/responses", RESPONSES.asking("hello"), a)).json()["id"]
    answer = await gateway.http.get(f"/v1/responses/{made}", headers=b)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "response_not_found"
    assert len(gateway.fast.requests) == 1
    assert (await gateway.http.get(f"/v1/responses/{made}")).status_code == 401
    gateway.fast.then(whole("resp_trained"))
    assert (await gateway.http.get(f"/v1/responses/{made}", headers=a)).status_code == 200


async def test_an_unknown_response_is_404_and_another_method_405(gateway):
    assert (await gateway.http.get("/v1/responses/resp_nope")).json()["error"]["param"] == "response_id"
    refused = await gateway.http.delete("/v1/responses/resp_nope")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert (await gateway.http.get("/v1/responses/a/b")).status_code == 404
    assert gateway.fast.requests == []


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_response_goes_on_where_the_one_before_it_is_kept(start, streaming):
    gateway = await start(score=0.1, replicas=3)
    first = (await gateway.post("/v1/responses", RESPONSES.asking("hello", "auto-thinking"))).json()["id"]
    body = RESPONSES.asking("and now?", previous_response_id=first, stream=streaming)
    answer = await gateway.post("/v1/responses", body)
    assert (answer.headers["x-thinkgate-pool"], answer.headers["x-thinkgate-reason"]) == ("deep", "session")
    sent = gateway.deep.requests[-1].json
    assert sent["previous_response_id"] == first
    assert sent["model"] == "thinking"
    assert gateway.fast.requests == []


async def test_where_the_keeper_is_down_no_other_replica_is_asked(start):
    gateway = await start(score=0.1, replicas=2, profiles={"default": {"fallback": False}})
    first = (await gateway.post("/v1/responses", RESPONSES.asking("hello"))).json()["id"]
    gateway.fast.then(error(503))
    answer = await gateway.post("/v1/responses", RESPONSES.asking("and now?", previous_response_id=first))
    assert answer.status_code == 503
    assert len(gateway.fast.requests) == 2


@every_api
async def test_the_dry_run_takes_every_routed_body(start, api):
    gateway = await start(score=0.9)
    answer = (await gateway.post("/v1/route", api.asking("prove it"))).json()
    assert (answer["mode"], answer["pool"], answer["seen"]["ask"]) == ("thinking", "deep", "prove it")
    named = (await gateway.post(f"/v1/route?api={api.name}", api.asking("prove it"))).json()
    assert named["mode"] == "thinking"
    assert gateway.deep.requests == []


async def test_the_dry_run_knows_a_message_by_its_own_fields(gateway):
    thinking = {"type": "enabled", "budget_tokens": 2048}
    answer = (await gateway.post("/v1/route", MESSAGES.asking("hello", thinking=thinking))).json()
    assert (answer["reason"], answer["budget"]) == ("client_field", 2048)
    unknown = await gateway.post("/v1/route?api=soap", MESSAGES.asking("hello"))
    assert unknown.status_code == 400


async def says_yes(turn):
    top = [{"token": "y", "logprob": -0.01, "bytes": None}, {"token": "n", "logprob": -5.0, "bytes": None}]
    content = [{**top[0], "top_logprobs": top}]
    choice = {"index": 0, "message": {"role": "assistant", "content": "y"}, "logprobs": {"content": content}}
    await turn.answer(200, json.dumps({"choices": [choice]}).encode())
    return True


@every_api
async def test_a_judge_that_asks_a_backend_asks_in_chat_and_the_request_stays_in_its_own_protocol(start, api):
    gateway = await start(judge={"kind": "llm", "timeout_ms": 5000})
    gateway.fast.then(says_yes)
    answer = await gateway.post(api.path, api.asking("a riddle"))
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("thinking", "judge")
    question = gateway.fast.requests[0]
    assert question.path == "/v1/chat/completions"
    assert question.json["messages"][0] == {"role": "user", "content": "a riddle"}
    assert len(question.json["messages"]) == 2
    assert gateway.deep.requests[0].path == api.path


async def test_a_token_count_asks_no_judge_that_asks_a_backend(start):
    gateway = await start(judge={"kind": "llm", "timeout_ms": 5000})
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    answer = await gateway.post("/v1/messages/count_tokens", body)
    assert answer.headers["x-thinkgate-reason"] == "judge_failed"
    assert [request.path for request in gateway.fast.requests] == ["/v1/messages/count_tokens"]


@every_api
async def test_a_decision_is_logged_with_its_tokens(start, api, tmp_path):
    gateway = await start(score=0.9, decisions={"url": f"sqlite:///{tmp_path}/d.db", "store_prompts": True})
    answer = await gateway.post(api.path, api.asking("hello", stream=True))
    found = await gateway.http.get(f"/v1/decisions/{answer.headers['x-thinkgate-decision-id']}")
    record = found.json()
    assert (record["api"], record["mode"], record["status"], record["prompt"]) == (api.name, "thinking", 200, "hello")
    assert record["prompt_tokens"] > 0
    assert record["answer_tokens"] > 0
    assert record["ttft_s"] > 0


@pytest.mark.parametrize(
    "path",
    ["/sleep", "/wake_up", "/collective_rpc", "/update_weights", "/server_info", "/reset_prefix_cache", "/invocations",
     "/v1/load_lora_adapter", "/inference/v1/generate", "/abort_requests", "/load", "/v1/messages/render",
     "/v1/responses/render", "/v1/chat/completions/render", "/tokenizer_info", "/pause", "/start_profile",
     "/v1/audio/../../sleep", "/v1/audio/%2e%2e/%2e%2e/sleep", "//sleep", "/v1/embeddings/../../sleep",
     "/v1/responses/..%2f..%2fsleep", "/v1/responses/%2e%2e/sleep"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_administrative_endpoints_of_a_backend_are_never_reached(gateway, path, method):
    client = await gateway.raw()
    body = b'{"model": "instruct", "input": "x", "prompt": "x"}'
    await client.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    status, _, _ = await client.answer()
    assert status in (404, 405)
    assert gateway.fast.requests == gateway.deep.requests == []
    await client.close()
