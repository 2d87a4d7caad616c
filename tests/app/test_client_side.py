"""What clients may not do: heads without end, slow heads and bodies, requests that two parsers read differently."""

import asyncio
import itertools

import pytest

from tests.app.conftest import both_ways, soon

BODY = b'{"model":"auto","messages":[{"role":"user","content":"hello"}]}'
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)


async def status_of(raw) -> int:
    line = await asyncio.wait_for(raw.reader.readline(), 30)
    return int(line.split()[1]) if line else 0


async def closed(raw) -> bool:
    """Does the gateway close the connection, after whatever it has to say?"""
    try:
        async with asyncio.timeout(10):
            while await raw.reader.read(65536):
                pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    raw.vanish()
    return True


# ---------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/nothing"])
@pytest.mark.parametrize("parts", [1, 50])
async def test_a_head_that_is_too_large_gets_431(start, path, parts):
    gateway = await start(server={"max_header_bytes": 4096})
    raw = await gateway.raw()
    head = b"POST %b HTTP/1.1\r\nhost: x\r\n" % path.encode() + b"x-pad: " + b"y" * 6000 + b"\r\n\r\n"
    for i in range(parts):
        raw.writer.write(head[i * len(head) // parts : (i + 1) * len(head) // parts])
        await asyncio.sleep(0)
    answer = await raw.answer()
    assert answer[0] == 431
    assert b"headers_too_large" in answer[2]
    assert await closed(raw)


async def test_a_head_without_end_is_cut_off(start):
    gateway = await start(server={"max_header_bytes": 4096})
    raw = await gateway.raw()
    await raw.send(POST)

    async def send_on():
        for i in itertools.count():
            await raw.send(b"x-%d: y\r\n" % i)
            await asyncio.sleep(0.001)

    # Not at once: a client that sends first and listens then shall see the refusal.
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(), 30)
    raw.vanish()


async def test_many_small_heads_on_one_connection_are_no_large_one(start):
    gateway = await start(server={"max_header_bytes": 1024})
    raw = await gateway.raw()
    for i in range(20):
        await raw.send(POST + b"x-pad: %d%b\r\n" % (i, b"y" * 300) + LENGTH[:10])
        await asyncio.sleep(0.002)
        await raw.send(LENGTH[10:] + b"\r\n" + BODY)
        assert (await raw.answer())[0] == 200
    await raw.close()


async def test_a_large_body_behind_a_small_head_is_no_large_head(start):
    gateway = await start(server={"max_header_bytes": 1024})
    raw = await gateway.raw()
    body = BODY[:-1] + b',"x":"' + b"y" * 200_000 + b'"}'
    await raw.send(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
    assert (await raw.answer())[0] == 200
    await raw.close()


# ---------------------------------------------------------------------------------------- slowness


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/models"])
async def test_a_slow_head_gets_408_however_it_drips(start, path):
    gateway = await start(server={"header_timeout_s": 0.5})
    raw = await gateway.raw()

    async def drip():
        for byte in b"POST %b HTTP/1.1\r\nhost: x\r\nx-pad: %b" % (path, b"y" * 10_000):
            raw.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(drip())
    async with asyncio.timeout(4):  # less than the time that an idle connection has
        assert await status_of(raw) == 408
    task.cancel()
    assert await closed(raw)


async def test_a_second_request_on_a_connection_has_a_time_limit_too(start):
    gateway = await start(server={"header_timeout_s": 0.5})
    raw = await gateway.raw()
    await raw.send(POST + LENGTH + b"\r\n" + BODY)
    assert (await raw.answer())[0] == 200
    await raw.send(b"POST /v1/ch")
    async with asyncio.timeout(4):
        assert await status_of(raw) == 408
    assert await closed(raw)


async def test_a_slow_head_after_a_known_one_too(start):
    gateway = await start(server={"header_timeout_s": 0.5})
    raw = await gateway.raw()
    for _ in range(3):
        await raw.send(POST + LENGTH + b"\r\n" + BODY)
        assert (await raw.answer())[0] == 200
    await raw.send(POST)
    async with asyncio.timeout(4):
        assert await status_of(raw) == 408
    assert await closed(raw)


async def test_an_answer_outlives_the_heads_time_limit(start):
    gateway = await start(server={"header_timeout_s": 0.2})
    raw = await gateway.raw()

    async def late(turn):
        await asyncio.sleep(0.8)
        body = b'{"object":"chat.completion","choices":[]}'
        await turn.answer(200, body)
        return True

    gateway.fast.then(late)
    await raw.send(POST[:10])
    await asyncio.sleep(0.05)
    await raw.send(POST[10:] + LENGTH + b"\r\n" + BODY)
    assert (await raw.answer())[0] == 200
    await raw.close()


@both_ways
async def test_a_body_that_drips_gets_408(start, monkeypatch):
    for module in ("app.server.cycle", "app.dataplane.asgi_client"):
        monkeypatch.setattr(f"{module}.MIN_BODY_BYTES_PER_S", 10_000)
    gateway = await start(server={"body_timeout_s": 0.5})
    raw = await gateway.raw()
    await raw.send(POST + b"content-length: 5000\r\n\r\n")

    async def drip():
        for _ in range(1000):
            raw.writer.write(b" ")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(drip())
    answer = await raw.answer()
    task.cancel()
    assert answer[0] == 408
    assert b"body_timeout_s" in answer[2]
    raw.vanish()


async def test_slow_heads_keep_nobody_else_waiting(start):
    gateway = await start(server={"header_timeout_s": 5})
    slow = [await gateway.raw() for _ in range(60)]
    for raw in slow:
        await raw.send(POST + b"x-pad: y")
    for _ in range(5):
        assert (await gateway.chat()).status_code == 200
    for raw in slow:
        raw.vanish()
    await gateway.idle()


# ---------------------------------------------------------------------------------------- two readings of one request

CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
AMBIGUOUS = {
    "both lengths": POST + LENGTH + b"transfer-encoding: chunked\r\n\r\n" + CHUNKED,
    "both lengths, the other way": POST + b"transfer-encoding: chunked\r\n" + LENGTH + b"\r\n" + CHUNKED,
    "two lengths": POST + LENGTH + b"content-length: 5\r\n\r\n" + BODY,
    "two equal lengths": POST + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": POST + b"content-length: %d, %d\r\n\r\n" % (len(BODY), len(BODY)) + BODY,
    "a signed length": POST + b"content-length: +%d\r\n\r\n" % len(BODY) + BODY,
    "a hexadecimal length": POST + b"content-length: 0x%x\r\n\r\n" % len(BODY) + BODY,
    "a negative length": POST + b"content-length: -1\r\n\r\n" + BODY,
    "a huge length": POST + b"content-length: 99999999999999999999999\r\n\r\n" + BODY,
    "a space before the colon": POST + b"content-length : %d\r\n\r\n" % len(BODY) + BODY,
    "a folded line": POST + b"x-a: b\r\n c: d\r\n" + LENGTH + b"\r\n" + BODY,
    "a folded length": POST + b"content-length:\r\n %d\r\n\r\n" % len(BODY) + BODY,
    "bare line feeds": POST.replace(b"\r\n", b"\n") + LENGTH.replace(b"\r\n", b"\n") + b"\n" + BODY,
    "a bare line feed in a head": POST + b"x-a: b\n" + LENGTH + b"\r\n" + BODY,
    "a bare carriage return": POST + b"x-a: b\rtransfer-encoding: chunked\r\n" + LENGTH + b"\r\n" + BODY,
    "a zero byte": POST + b"x-a: b\0c\r\n" + LENGTH + b"\r\n" + BODY,
    "an encoding that is not known": POST + b"transfer-encoding: gzip\r\n\r\n" + CHUNKED,
    "chunked and something after": POST + b"transfer-encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "chunked twice": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n" + CHUNKED,
    "an odd chunked": POST + b"transfer-encoding: xchunked\r\n\r\n" + CHUNKED,
    "a bad chunk size": POST + b"transfer-encoding: chunked\r\n\r\n" + b"0x3b\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk without its end": POST + b"transfer-encoding: chunked\r\n\r\n%x\r\n%bXX0\r\n\r\n" % (len(BODY), BODY),
    "a name with a space": POST + b"x a: b\r\n" + LENGTH + b"\r\n" + BODY,
    "a nameless header": POST + b": b\r\n" + LENGTH + b"\r\n" + BODY,
    "an odd version": b"POST /v1/chat/completions HTTP/1.9\r\nhost: x\r\n" + LENGTH + b"\r\n" + BODY,
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@both_ways
@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_a_request_that_could_be_read_in_two_ways_is_refused_and_reaches_no_backend(gateway, name):
    raw = await gateway.raw()
    # What would be smuggled comes behind it, on the same connection.
    await raw.send(AMBIGUOUS[name] + b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
    head = (await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), 30)).lower()
    assert b" 400 " in head.split(b"\r\n")[0]
    rest = await asyncio.wait_for(raw.reader.read(), 30)
    assert b"thinkgate" not in rest, "nothing behind it is answered"
    assert gateway.fast.requests == []
    raw.vanish()


async def test_http_0_9_is_not_spoken(gateway):
    raw = await gateway.raw()
    await raw.send(b"POST /v1/chat/completions\r\nhost: x\r\n" + LENGTH + b"\r\n" + BODY)
    assert await status_of(raw) == 400
    assert await closed(raw)
    assert gateway.fast.requests == []


@both_ways
async def test_known_heads_are_no_way_around(gateway):
    raw = await gateway.raw()
    good = POST + LENGTH + b"\r\n" + BODY
    for _ in range(3):
        await raw.send(good)
        assert (await raw.answer())[0] == 200
    await raw.send(POST + LENGTH + b"transfer-encoding: chunked\r\n\r\n" + CHUNKED)
    assert await status_of(raw) == 400
    assert await closed(raw)
    assert len(gateway.fast.requests) == 3


@both_ways
async def test_what_is_forwarded_is_one_request_with_one_length_and_no_hop_by_hop_header(gateway):
    raw = await gateway.raw()
    odd = [
        b"connection: keep-alive, x-secret, te",
        b"x-secret: 1",
        b"keep-alive: timeout=5",
        b"te: trailers",
        b"trailer: x-t",
        b"upgrade-insecure-requests: 1",
        b"proxy-authorization: Basic x",
        b"proxy-connection: keep-alive",
        b"authorization: Bearer client-key",
        b"x-api-key: client-key",
        b"cookie: a=b",
        b"host: evil.example",
        b"x-forwarded-host: evil.example",
        b"expect-ct: x",
    ]
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + b"\r\n".join(odd)
    await raw.send(head + b"\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKED)
    assert (await raw.answer())[0] == 200
    (request,) = gateway.fast.requests
    lines = request.raw_head.lower().split(b"\r\n")
    names = [line.split(b":")[0] for line in lines[1:] if line]
    assert names.count(b"content-length") == names.count(b"host") == 1
    gone = {b"connection", b"x-secret", b"keep-alive", b"te", b"trailer", b"proxy-authorization", b"transfer-encoding"}
    gone |= {b"proxy-connection", b"authorization", b"x-api-key", b"cookie", b"upgrade"}
    assert gone.isdisjoint(names)
    assert b"client-key" not in request.raw_head
    assert request.headers["host"] == f"127.0.0.1:{gateway.fast.port}"
    assert await soon(lambda: gateway.in_flight() == 0)
    await raw.close()
