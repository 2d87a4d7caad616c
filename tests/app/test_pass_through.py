"""The endpoints that nothing is decided for: to the named model's pool, and back as it comes."""

import asyncio
import json

import pytest

from app.dataplane.passthrough.endpoint import PASSED_THROUGH
from tests.app.answers import AUTH, is_openai_error
from tests.app.conftest import both_ways, soon
from tests.app.scripted_upstream import error
from tests.fixtures import recorded

AUDIO = {"file": ("a.wav", bytes(range(256)) * 20, "audio/wav")}


async def echo(turn):
    """Answers with the request's body, in one write as servers do."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-echo\r\ncontent-length: %d\r\n\r\n"
    await turn.send(head % len(turn.request.body) + turn.request.body)
    return True


@both_ways
@pytest.mark.parametrize("path", PASSED_THROUGH)
@pytest.mark.parametrize(("model", "pool"), [("instruct", "fast"), ("thinking", "deep"), ("auto", "fast"),
                                             ("auto-thinking", "deep")])  # fmt: skip
async def test_a_request_goes_to_the_pool_that_serves_the_named_model(gateway, path, model, pool):
    asked = getattr(gateway, pool)
    asked.then(echo)
    body = b'{"model": "%b", "input": "caf\xc3\xa9", "x": 1.50}' % model.encode()
    answer = await gateway.http.post(path, content=body, headers={"x-request-id": "r1", "x-mine": "y"})
    assert answer.status_code == 200
    sent = asked.requests[0]
    assert (sent.method, sent.path) == ("POST", path)
    assert sent.json == {**json.loads(body), "model": "instruct" if pool == "fast" else "thinking"}
    assert b"1.50" in sent.body
    assert sent.headers["content-type"] == "application/json"
    assert (sent.headers["x-mine"], sent.headers["x-request-id"]) == ("y", "r1")
    assert answer.content == sent.body
    assert answer.headers["content-type"] == "application/x-echo"
    assert (answer.headers["x-thinkgate-pool"], answer.headers["x-request-id"]) == (pool, "r1")
    api = PASSED_THROUGH[path]
    assert await gateway.metric("thinkgate_requests_total", api=api, mode="none", reason="none", status="200") == 1
    await gateway.idle()


@both_ways
@pytest.mark.parametrize(("model", "sent_model"), [("auto", "instruct"), ("thinking", "thinking")])
async def test_a_form_goes_by_its_model_field(gateway, model, sent_model):
    asked = gateway.fast if sent_model == "instruct" else gateway.deep
    asked.then(echo)
    answer = await gateway.http.post("/v1/audio/transcriptions", files=AUDIO, data={"model": model, "language": "en"})
    assert answer.status_code == 200
    sent = asked.requests[0]
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert AUDIO["file"][1] in sent.body
    assert b'name="model"\r\n\r\n%b\r\n' % sent_model.encode() in sent.body
    assert int(sent.headers["content-length"]) == len(sent.body)


async def test_answers_of_different_lengths_with_the_same_head_are_whole(gateway):
    for text in ("a", "b" * 300, "", "c"):
        gateway.fast.then(echo)
        answer = await gateway.post("/tokenize", {"model": "instruct", "prompt": text})
        assert answer.json()["prompt"] == text


async def test_an_empty_answer_is_an_answer(gateway):
    async def script(turn):
        await turn.answer(200, b"")
        return True

    gateway.fast.then(script)
    answer = await gateway.post("/v1/embeddings", {"model": "instruct"})
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_streamed_answer_is_relayed_piece_by_piece_and_not_decoded(gateway):
    go = asyncio.Event()

    async def script(turn):
        await turn.head(200, "audio/pcm", "transfer-encoding: chunked")
        await turn.chunk(b"\x00\xff data: \n\n")
        await go.wait()
        await turn.chunk(b"rest")
        await turn.send(b"0\r\n\r\n")
        return True

    gateway.fast.then(script)
    async with gateway.http.stream("POST", "/v1/audio/speech", json={"model": "instruct"}) as answer:
        parts = answer.aiter_raw()
        assert await anext(parts) == b"\x00\xff data: \n\n"
        go.set()
        assert b"".join([part async for part in parts]) == b"rest"


@both_ways
@pytest.mark.parametrize("framing", ["transfer-encoding: chunked", "content-length: 1000"])
async def test_an_answer_that_breaks_off_breaks_the_clients_connection(gateway, framing):
    async def script(turn):
        await turn.head(200, "application/json", framing)
        await (turn.chunk if "chunked" in framing else turn.send)(b'{"half":')
        await asyncio.sleep(0.05)
        turn.reset()

    gateway.fast.then(script)
    client = await gateway.raw()
    await client.ask(b'{"model":"instruct"}', path="/v1/embeddings")
    got = b""
    try:
        async with asyncio.timeout(5):
            while part := await client.reader.read(65536):
                got += part
    except ConnectionError:
        pass
    await client.close()
    assert b'{"half":' in got
    assert not got.endswith(b"0\r\n\r\n")
    await gateway.idle()
    metric = {"api": "embeddings", "mode": "none", "reason": "none", "status": "502"}
    assert await gateway.metric("thinkgate_requests_total", **metric) == 1


@pytest.mark.parametrize(
    ("name", "status"), [("err_embeddings", 404), ("err_bad_json", 400), ("err_503_queue_full", 503)]
)
async def test_a_backends_error_gets_openais_shape(gateway, name, status):
    async def script(turn):
        await turn.answer(status, recorded(name).body)
        return True

    gateway.fast.then(script)
    is_openai_error(await gateway.post("/v1/embeddings", {"model": "instruct", "input": "x"}), status)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [(b"", 400, None), (b"[]", 400, None), (b'{"input":"x"}', 400, "model"), (b'{"model":null}', 400, "model"),
     (b'{"model":3}', 400, "model"), (b'{"model":"nope"}', 404, "model"), (b'{"model":""}', 404, "model")],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/embeddings", "/tokenize", "/v1/audio/speech"])
async def test_a_bad_body_is_an_error_in_openais_shape(gateway, path, body, status, param):
    answer = await gateway.http.post(path, content=body)
    assert is_openai_error(answer, status)["param"] == param
    assert gateway.fast.requests == []


async def test_a_form_without_a_model_is_400(gateway):
    is_openai_error(await gateway.http.post("/v1/audio/transcriptions", files=AUDIO), 400)
    headers = {"content-type": "multipart/form-data"}
    is_openai_error(await gateway.http.post("/v1/audio/transcriptions", content=b"x", headers=headers), 400)


async def test_keys_and_methods_hold_here_too(start):
    gateway = await start(auth=AUTH)
    is_openai_error(await gateway.post("/tokenize", {"model": "instruct"}), 401)
    gateway.fast.then(echo)
    assert (await gateway.post("/tokenize", {"model": "instruct"}, {"x-api-key": "key-a"})).status_code == 200
    assert b"key-a" not in gateway.fast.requests[0].raw_head
    refused = await gateway.http.get("/tokenize", headers={"x-api-key": "key-a"})
    assert refused.headers["allow"] == "POST"
    is_openai_error(refused, 405)


async def test_another_replica_is_tried_and_no_other_pool(start):
    gateway = await start(replicas=2)
    gateway.fast.then(error(503), error(503))
    is_openai_error(await gateway.post("/v1/embeddings", {"model": "auto", "input": "x"}), 503)
    assert len(gateway.fast.requests) == 2
    assert gateway.deep.requests == []


async def test_a_profiles_hard_mode_leads_an_alias(start):
    gateway = await start(profiles={"default": {"mode": "thinking"}})
    gateway.deep.then(echo)
    assert (await gateway.post("/tokenize", {"model": "auto"})).headers["x-thinkgate-pool"] == "deep"


async def test_a_client_that_leaves_stops_the_backends_work(gateway):
    gone = []

    async def script(turn):
        await turn.wait_gone(5)
        gone.append(turn)

    gateway.fast.then(script)
    client = await gateway.raw()
    await client.ask(b'{"model":"instruct"}', path="/v1/embeddings")
    assert await soon(lambda: gateway.fast.requests)
    client.vanish()
    assert await soon(lambda: gone)
    await gateway.idle()
