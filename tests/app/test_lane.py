"""The direct lane's own promises; what it shares with the ASGI way is tested through the gateway."""

import asyncio
import re

import httpx
import pytest
import uvicorn

from app.config_file import parse_settings
from app.errors import Unauthorized
from app.gateway import create_app
from app.server.cycle import LaneCycle
from app.server.lane import protocol_for
from router.judges import load_judge


@pytest.fixture
async def silent():
    """A backend that takes requests, says nothing for a while, and leaves."""

    async def leave(reader, writer):
        await asyncio.sleep(0.5)
        writer.close()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
def gateway(silent):
    pool = {"replicas": [f"http://127.0.0.1:{silent}"]}
    settings = parse_settings(
        {
            "auth": {"keys": [{"key": "good"}]},
            "pools": {"fast": {"model": "a", **pool}, "deep": {"model": "b", **pool}},
            "routes": {"auto": {"instruct": "fast", "thinking": "deep"}},
        },
        {},
    )
    return create_app(
        settings,
        judge=load_judge("constant", score=0.1),
        health_transport=httpx.MockTransport(lambda _: httpx.Response(200)),
    )


@pytest.fixture
async def address(gateway):
    lane = protocol_for(gateway)
    gateway.known, gateway.deadlines = lane.known, lane.deadlines  # for the tests to look at
    config = uvicorn.Config(gateway, http=lane, port=0, ws="none", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, not an event
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    await task


async def test_a_wrong_key_is_refused_before_the_body_is_sent(address):
    reader, writer = await asyncio.open_connection(*address[:2])
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer bad\r\ncontent-length: 1000000\r\n\r\n"
    )
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    writer.close()
    await writer.wait_closed()


ASK = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)
UNKNOWN_MODEL = b'{"model":"%b","messages":[{"role":"user","content":"hi"}]}'


class Raw:
    """A connection that is written to by hand."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address):
        return cls(*await asyncio.open_connection(*address[:2]))

    async def answer(self, *parts):
        """(status, body) of the next answer, after the parts were sent one by one."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head)[1])
            return int(head[9:12]), await self.reader.readexactly(length)


@pytest.fixture
async def raw(address):
    raw = await Raw.open(address)
    yield raw
    raw.writer.close()


def ask(name, head=ASK):
    body = UNKNOWN_MODEL % name
    return head % len(body) + body


async def test_a_known_head_serves_other_bodies(raw, monkeypatch):
    served = []
    serve = LaneCycle.serve
    monkeypatch.setattr(LaneCycle, "serve", lambda cycle, body: (served.append(body), serve(cycle, body)))
    for name in (b"first", b"second", b"the-third-one"):
        status, body = await raw.answer(ask(name))
        assert status == 404
        assert b"`%b`" % name in body
    assert [b"second" in served[0], b"the-third-one" in served[1], len(served)] == [True, True, 2]


async def test_a_known_head_comes_in_parts_or_with_a_head_in_parts(raw):
    whole = ask(b"other")
    for cut in (1, 20, 100, whole.index(b"\r\n\r\n") + 2, whole.index(b"\r\n\r\n") + 4, len(whole) - 1):
        await raw.answer(ask(b"known"))
        status, body = await raw.answer(whole[:cut], whole[cut:])
        assert (status, b"`other`" in body) == (404, True)


async def test_two_requests_in_one_read_after_a_known_head(raw):
    await raw.answer(ask(b"known"))
    status, body = await raw.answer(ask(b"one") + ask(b"two"))
    assert (status, b"`one`" in body) == (404, True)
    status, body = await raw.answer()
    assert (status, b"`two`" in body) == (404, True)
    status, body = await raw.answer(ask(b"three"))
    assert (status, b"`three`" in body) == (404, True)


async def test_a_known_head_waits_for_the_answer_before_it(raw):
    for name in (b"one", b"two"):
        await raw.answer(ask(name))
    raw.writer.write(ask(b"auto"))  # the backend keeps silent
    await asyncio.sleep(0.05)
    raw.writer.write(ask(b"three"))
    assert (await raw.answer())[0] == 502
    status, body = await raw.answer()
    assert (status, b"`three`" in body) == (404, True)


async def test_a_known_request_inside_a_header_is_a_header(raw, monkeypatch):
    await raw.answer(ask(b"known"))
    monkeypatch.setattr(LaneCycle, "serve", lambda cycle, body: pytest.fail("a header was taken for a request"))
    status, body = await raw.answer(b"POST /v1/chat/completions HTTP/1.1\r\nx-trick: ", ask(b"known"))
    assert (status, b"`known`" in body) == (404, True)


async def test_another_key_is_another_head(raw):
    await raw.answer(ask(b"known"))
    assert (await raw.answer(ask(b"known", ASK.replace(b"good", b"evil"))))[0] == 401


async def test_the_key_of_a_known_head_is_checked_each_time(raw, gateway, monkeypatch):
    def revoked(path, by_name):
        raise Unauthorized("The key is not valid.")

    for _ in range(2):
        assert (await raw.answer(ask(b"known")))[0] == 404
    monkeypatch.setattr(gateway, "may_call", revoked)
    assert (await raw.answer(ask(b"known")))[0] == 401


async def test_a_body_over_the_limit_is_refused_whatever_is_known(raw, gateway, monkeypatch):
    await raw.answer(ask(b"known"))
    monkeypatch.setitem(gateway.settings.server.__dict__, "max_body_bytes", 100)
    status, _ = await raw.answer(ask(b"x" * 200))
    assert status == 413


async def test_control_plane_and_lane_take_turns_on_one_connection(raw):
    for name in (b"one", b"two"):
        assert (await raw.answer(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good\r\n\r\n"))[0] == 200
        assert (await raw.answer(ask(name)))[0] == 404


@pytest.mark.parametrize(
    "line", [b"transfer-encoding: chunked", b"content-length: 5", b"Content-Length: 5", b"expect: 100-continue"]
)
async def test_a_head_with_a_second_word_on_its_framing_is_never_known(raw, gateway, line):
    head = ASK.replace(b"content-type: application/json", line)
    raw.writer.write(ask(b"known", head))
    async with asyncio.timeout(5):
        answer = await raw.reader.readuntil(b"\r\n\r\n")
    # who expects to be asked for the body may be answered at once where it has come already
    fits = (b"HTTP/1.1 100 ", b"HTTP/1.1 404 ") if line.startswith(b"expect") else b"HTTP/1.1 400 "
    assert answer.startswith(fits)
    assert not gateway.known._heads


async def test_few_heads_are_kept(raw, gateway):
    for i in range(600):
        raw.writer.write(ask(b"m", ASK.replace(b"host: x", b"host: %d" % i)))
        if i % 50 == 49:
            await raw.writer.drain()
        await raw.answer()
    assert 0 < len(gateway.known._heads) <= 512


async def test_a_connection_that_says_nothing_is_closed_in_the_end(address, gateway, monkeypatch):
    raw = await Raw.open(address)
    await asyncio.sleep(0.05)
    (protocol,) = gateway.deadlines._kept
    protocol.deadline_s = 0.0
    async with asyncio.timeout(5):
        assert await raw.reader.read() == b""
    assert not gateway.deadlines._kept
    raw.writer.close()
