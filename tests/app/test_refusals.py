"""What the gateway refuses by itself: bodies, names, paths, methods, sizes, and what is no HTTP."""

import asyncio
import json

import pytest

from tests.app.answers import is_openai_error
from tests.app.conftest import HELLO, both_ways
from tests.app.scripted_upstream import whole
from tests.fixtures import recorded


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
