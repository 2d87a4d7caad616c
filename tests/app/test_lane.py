"""The direct lane's own promises; what it shares with the ASGI way is tested through the gateway."""

import asyncio

import httpx
import pytest
import uvicorn

from app.config_file import parse_settings
from app.gateway import create_app
from app.server.lane import protocol_for
from router.judges import load_judge


@pytest.fixture
async def address():
    pool = {"replicas": ["http://127.0.0.1:9"]}
    settings = parse_settings(
        {
            "auth": {"keys": [{"key": "good"}]},
            "pools": {"fast": {"model": "a", **pool}, "deep": {"model": "b", **pool}},
            "routes": {"auto": {"instruct": "fast", "thinking": "deep"}},
        },
        {},
    )
    app = create_app(
        settings,
        judge=load_judge("constant", score=0.1),
        health_transport=httpx.MockTransport(lambda _: httpx.Response(200)),
    )
    config = uvicorn.Config(app, http=protocol_for(app), port=0, ws="none", log_config=None)
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
