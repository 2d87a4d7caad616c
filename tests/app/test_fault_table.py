"""What a client sees of each fault of a backend, cell by cell, as docs/faults.md says it."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.app.scripted_upstream import RECORDED, Turn, error
from tests.fixtures import recorded, recorded_stream

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
TIMEOUTS = {"connect_s": 0.5, "first_byte_s": 0.6, "idle_s": 0.6, "total_s": 2.5}
LIMIT_S = 20.0
"""Longer than any time limit above, several times over: what takes longer hangs."""


def events_of(turn: Turn) -> list[bytes]:
    """The events of a good stream of the endpoint that was asked."""
    return [e + b"\n\n" for e in recorded_stream(RECORDED[turn.request.path][1])[:-2].split(b"\n\n")]


def whole_of(turn: Turn) -> bytes:
    return recorded(RECORDED[turn.request.path][0]).body


def asked_for_stream(turn: Turn) -> bool:
    return turn.request.json.get("stream") is True


async def begin(turn: Turn) -> None:
    """The first events of a stream, or the first half of an answer."""
    if asked_for_stream(turn):
        await turn.stream_head()
        for event in events_of(turn)[:3]:
            await turn.chunk(event)
    else:
        body = whole_of(turn)
        await turn.head(200, "application/json", f"content-length: {len(body)}")
        await turn.send(body[: len(body) // 2])
    await asyncio.sleep(0.02)


async def resets(turn):
    turn.reset()


async def closes(turn):
    return None


async def half_a_head(turn):
    await turn.send(b"HTTP/1.1 200 OK\r\ncontent-ty")


async def garbage(turn):
    await turn.send(b"\x00\x01 this is not HTTP\r\n\r\n")


async def endless_head(turn):
    await turn.send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000)
    await turn.wait_gone(30)


async def silent(turn):
    await turn.wait_gone(30)


async def head_then_closes(turn):
    await (turn.stream_head() if asked_for_stream(turn) else turn.head(200, "application/json", "content-length: 500"))


async def head_then_silent(turn):
    await head_then_closes(turn)
    await turn.wait_gone(30)


async def breaks_off(turn):
    await begin(turn)


async def resets_midway(turn):
    await begin(turn)
    turn.reset()


async def silent_midway(turn):
    await begin(turn)
    await turn.wait_gone(30)


async def half_an_event(turn):
    await begin(turn)
    if asked_for_stream(turn):
        event = events_of(turn)[3]
        await turn.chunk(event[: len(event) // 2])
        await turn.send(b"0\r\n\r\n")


async def ends_too_soon(turn):
    await begin(turn)
    if asked_for_stream(turn):
        await turn.send(b"0\r\n\r\n")


async def bad_framing(turn):
    if asked_for_stream(turn):
        await begin(turn)
        await turn.send(b"not a chunk size\r\n")
    else:
        await turn.head(200, "application/json", "transfer-encoding: chunked")
        await turn.send(b"zz\r\n{")
    await turn.wait_gone(30)


async def too_long(turn):
    if asked_for_stream(turn):
        await turn.stream_head()
        for event in events_of(turn):
            await turn.chunk(event)
        await turn.send(b"0\r\n\r\nmore than was due")
    else:
        body = whole_of(turn)
        await turn.head(200, "application/json", f"content-length: {len(body)}")
        await turn.send(body + b"more than was due")
    await asyncio.sleep(0.05)


async def says_error_with_200(turn):
    text = b'{"error":{"message":"engine died","type":"InternalServerError","param":null,"code":500}}'
    if asked_for_stream(turn):
        await turn.stream_head()
        await turn.chunk(b"data: " + text + b"\n\ndata: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")
    else:
        await turn.answer(200, text)
    return True


async def says_error_midway(turn):
    await begin(turn)
    if asked_for_stream(turn):
        text = b'{"error":{"message":"engine died","type":"InternalServerError","param":null,"code":500}}'
        await turn.chunk(b"data: " + text + b"\n\ndata: [DONE]\n\n")
        await turn.send(b"0\r\n\r\n")


async def not_json(turn):
    if asked_for_stream(turn):
        await turn.answer(200, b"<html>Service Unavailable</html>", content_type="text/html")
    else:
        await turn.answer(200, b"<html>Service Unavailable</html>", content_type="text/html")
    return True


async def empty(turn):
    kind = "text/event-stream" if asked_for_stream(turn) else "application/json"
    await turn.answer(200, b"", content_type=kind)
    return True


async def half_json(turn):
    if asked_for_stream(turn):
        return await half_an_event(turn)
    body = whole_of(turn)
    await turn.answer(200, body[: len(body) // 2])
    return True


async def drips(turn):
    if asked_for_stream(turn):
        await turn.stream_head()
        for event in events_of(turn)[:4]:
            await turn.chunk(event[:10])
            await asyncio.sleep(0.05)
            await turn.chunk(event[10:])
        for event in events_of(turn)[4:]:
            await turn.chunk(event)
        await turn.send(b"0\r\n\r\n")
    else:
        body = whole_of(turn)
        await turn.head(200, "application/json", f"content-length: {len(body)}")
        for i in range(0, len(body), 100):
            await turn.send(body[i : i + 100])
            await asyncio.sleep(0.01)
    return True


async def endless(turn):
    await begin(turn)
    try:
        while True:
            await asyncio.sleep(0.05)
            if asked_for_stream(turn):
                await turn.chunk(events_of(turn)[2])
            else:
                await turn.send(b" ")
    except ConnectionError:
        pass


async def redirects(turn):
    await turn.answer(307, b'{"see":"there"}', "location: http://evil.example/")
    return True


FAULTS = {
    "refuses the connection": None,
    "resets the connection at once": resets,
    "closes the connection at once": closes,
    "sends half a head": half_a_head,
    "sends a head without end": endless_head,
    "sends what is not HTTP": garbage,
    "is silent": silent,
    "sends a head, then closes": head_then_closes,
    "sends a head, then is silent": head_then_silent,
    "breaks off in the middle": breaks_off,
    "resets in the middle": resets_midway,
    "is silent in the middle": silent_midway,
    "sends half an event, then ends": half_an_event,
    "ends before its time": ends_too_soon,
    "frames the body wrongly": bad_framing,
    "sends more than it announced": too_long,
    "sends an error with status 200": says_error_with_200,
    "sends an error in the middle": says_error_midway,
    "sends a page instead of an answer": not_json,
    "sends nothing with status 200": empty,
    "sends half of the JSON, well framed": half_json,
    "answers 400": error(400, "no"),
    "answers 401": error(401, "no"),
    "answers 404": error(404, "no"),
    "answers 429": error(429, "no"),
    "answers 500": error(500, "no"),
    "answers 503": error(503, "no"),
    "redirects": redirects,
    "drips, but ends": drips,
    "never ends": endless,
}
"""Every fault: what the backend does. None: nobody listens."""

PROTOCOLS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
    "/v1/completions": {"prompt": "hello"},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 99},
}


async def seen(gateway, path: str, fault: str, streaming: bool):
    """Status, head and body that a client gets; fails where the gateway hangs."""
    script = FAULTS[fault]
    if script is None:
        await gateway.fast.refuse()
        for replica in gateway.app.pools["fast"].replicas:
            replica.checked(True)
    else:
        gateway.fast.then(script)
    raw = await gateway.raw()
    body = json.dumps({"model": "auto", "stream": streaming, **PROTOCOLS[path]}).encode()
    await raw.ask(body, path=path)
    try:
        async with asyncio.timeout(LIMIT_S):
            return await raw.answer()
    except asyncio.IncompleteReadError:
        return 0, {}, b""
    finally:
        await raw.close()


def cell(status: int, headers: dict[str, str], body: bytes) -> str:
    """What a chat client sees, in the page's words."""
    if status == 0:
        return "a broken connection"
    if headers.get("content-type", "").startswith("text/event-stream"):
        payloads = [e.removeprefix(b"data: ") for e in body.split(b"\n\n") if e.startswith(b"data: ")]
        assert payloads[-1] == b"[DONE]", body[-200:]
        errors = [json.loads(p)["error"] for p in payloads[:-1] if p.startswith(b'{"error"')]
        if not errors:
            assert b'"finish_reason":"' in body, "a short answer that looks whole"
            return "the whole answer"
        assert len(errors) == 1
        assert len(payloads) > 2
        return f"what came, then an error event `{errors[0]['code']}`"
    data = json.loads(body)
    if status == 200:
        assert data["choices"][0]["finish_reason"] in ("stop", "length")
        return "the whole answer"
    assert set(data["error"]) == {"message", "type", "param", "code"}
    return f"{status} `{data['error']['code']}`" + (", `Retry-After`" if "retry-after" in headers else "")


def table() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name: (one, streamed) for name, one, streamed in rows if name in FAULTS}


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_cell_of_the_table_is_what_a_client_sees(start, fault, streaming):
    gateway = await start(timeouts=TIMEOUTS, profiles={"default": {"fallback": False}})
    found = cell(*await seen(gateway, "/v1/chat/completions", fault, streaming))
    assert found == table()[fault][streaming]
    await gateway.idle()


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", list(PROTOCOLS)[1:])
@pytest.mark.parametrize("fault", FAULTS)
async def test_in_every_protocol_a_fault_is_seen_and_is_never_a_500_of_our_own(start, fault, path, streaming):
    gateway = await start(timeouts=TIMEOUTS, profiles={"default": {"fallback": False}})
    status, _, body = await seen(gateway, path, fault, streaming)
    assert b"internal_error" not in body
    assert b"The gateway failed" not in body
    whole_answer = table()[fault][streaming] == "the whole answer"
    if status == 200 and not whole_answer:
        assert streaming, f"a short answer that looks whole: {body[-200:]!r}"
        assert b'"error"' in body, f"a stream that ends in silence: {body[-300:]!r}"
    elif whole_answer:
        assert status == 200
        assert b'"error":{' not in body
    else:
        assert json.loads(body)["error"]["message"]
    await gateway.idle()


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_where_the_other_mode_may_answer_faults_before_the_first_byte_are_not_seen_at_all(
    start, fault, streaming
):
    gateway = await start(timeouts=TIMEOUTS)
    found = cell(*await seen(gateway, "/v1/chat/completions", fault, streaming))
    before = table()[fault][streaming]
    if before.startswith("5"):
        assert found == "the whole answer"
        assert len(gateway.deep.requests) == 1
    else:
        assert found == before
        assert gateway.deep.requests == []
    await gateway.idle()


def test_the_table_has_every_fault_and_no_other():
    assert set(table()) == set(FAULTS)
    assert not [cells for cells in table().values() if any(cell.startswith("500 `internal") for cell in cells)]
