"""Errors in the shape of the protocol that was spoken."""

import json

import pytest

from tests.app.answers import AUTH
from tests.app.conftest import both_ways
from tests.app.protocols import MESSAGES, every_api
from tests.app.scripted_upstream import error, whole
from tests.fixtures import recorded

ANTHROPIC_TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
                   405: "invalid_request_error", 413: "request_too_large", 502: "api_error",
                   503: "overloaded_error", 504: "timeout_error"}  # fmt: skip

BAD = [b"", b"[]", b"{", b'{"model": 3}', b'{"model": "auto"}', b'{"a":' * 3000, b'{"model":"auto","x":"\xff"}']


@both_ways
@every_api
@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
async def test_a_bad_body_is_400_in_the_protocols_shape(gateway, api, body):
    answer = await gateway.http.post(api.path, content=body)
    assert answer.status_code == 400
    error = api.error(answer.content)
    assert error["type"] == "invalid_request_error"
    assert gateway.fast.requests == gateway.deep.requests == []


@every_api
async def test_an_unknown_model_is_404_with_the_known_names(gateway, api):
    answer = await gateway.post(api.path, api.asking("hello", "gpt-9"))
    assert answer.status_code == 404
    told = api.error(answer.content)
    assert "auto" in told["message"]
    assert told["type"] == ("not_found_error" if api is MESSAGES else "invalid_request_error")


@both_ways
@every_api
async def test_without_a_key_it_is_401_in_the_protocols_shape(start, api):
    gateway = await start(auth=AUTH)
    answer = await gateway.post(api.path, api.asking("hello"))
    assert answer.status_code == 401
    assert api.error(answer.content)["type"] == "authentication_error"
    assert (await gateway.post(api.path, api.asking("hello"), {"x-api-key": "key-a"})).status_code == 200
    assert (await gateway.post(api.path, api.asking("hello"), {"authorization": "Bearer key-a"})).status_code == 200
    sent = gateway.fast.requests[0].raw_head.lower()
    assert b"key-a" not in sent


@both_ways
@every_api
async def test_a_body_that_is_too_large_is_413_in_the_protocols_shape(start, api):
    gateway = await start(server={"max_body_bytes": 2000})
    answer = await gateway.post(api.path, api.asking("hello" * 1000))
    assert answer.status_code == 413
    api.error(answer.content)


@both_ways
@every_api
async def test_another_method_is_405_in_the_protocols_shape(gateway, api):
    answer = await gateway.http.get(api.path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    api.error(answer.content)


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/messages/", "/v1/messages/count_tokens/x"])
async def test_unknown_paths_below_messages_are_told_in_anthropics_shape(gateway, path):
    for method in ("GET", "POST"):
        answer = await gateway.http.request(method, path)
        assert answer.status_code == 404
        assert MESSAGES.error(answer.content)["type"] == "not_found_error"


@every_api
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_a_backends_error_keeps_its_status_and_message(start, api, streaming, status):
    gateway = await start(profiles={"default": {"fallback": False}})
    gateway.fast.then(error(status, "the backend says no"))
    answer = await gateway.post(api.path, api.asking("hello", stream=streaming))
    assert answer.status_code == status
    assert api.error(answer.content)["message"] == "the backend says no"
    assert answer.headers["x-thinkgate-mode"] == "instruct"
    if status in (429, 503):
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "name", ["err_messages_no_max_tokens", "err_messages_unknown_model", "messages_instruct_thinking"]
)
async def test_vllms_own_errors_of_messages_become_anthropics(gateway, name):
    gateway.fast.then(whole(name, recorded(name).status))
    answer = await gateway.post("/v1/messages", MESSAGES.asking("hello"))
    assert answer.status_code == recorded(name).status
    told = MESSAGES.error(answer.content)
    assert told["type"] == ANTHROPIC_TYPES[answer.status_code]
    assert told["message"] == json.loads(recorded(name).body)["error"]["message"]


@every_api
async def test_no_replica_is_503_with_retry_after(start, api):
    gateway = await start(profiles={"default": {"fallback": False}})
    await gateway.fast.refuse()
    answer = await gateway.post(api.path, api.asking("hello"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    api.error(answer.content)


@every_api
@pytest.mark.parametrize("streaming", [False, True])
async def test_silence_is_504_and_the_other_mode_answers_where_the_judge_decided(start, api, streaming):
    async def silence(turn):
        await turn.wait_gone(30)

    gateway = await start(timeouts={"first_byte_s": 0.4})
    gateway.fast.then(silence, silence)
    answer = await gateway.post(api.path, api.asking("hello", stream=streaming))
    assert answer.status_code == 200
    assert (answer.headers["x-thinkgate-mode"], answer.headers["x-thinkgate-reason"]) == ("thinking", "fallback")
    assert gateway.deep.requests[0].json["model"] == "thinking"
    forced = await gateway.post(api.path, api.asking("hello", "auto-instruct", stream=streaming))
    assert forced.status_code == 504
    api.error(forced.content)
