"""The real gateway on a free port, in the test's own event loop, with scripted backends behind it."""

import asyncio
import contextlib
import copy
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from app.config_file import parse_settings
from app.gateway import Gateway, create_app
from app.server import open_listeners
from app.server.lane import protocol_for
from app.server.serving import KEEP_ALIVE_S
from tests.app.scripted_upstream import ScriptedUpstream

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # one, since loading certificates would take longer than most tests
HELLO = [{"role": "user", "content": "hello"}]


async def soon(true: Callable[[], Any], limit_s: float = 0.5) -> bool:
    """Whether `true()` becomes true in time, counted in turns of the loop: a starved machine does not count."""
    for _ in range(round(limit_s / 0.005)):
        if true():
            return True
        await asyncio.sleep(0.005)
    return bool(true())


class QuietServer(uvicorn.Server):
    """uvicorn without signal handlers and without the waits of a peaceful end: tests stop many of them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self):
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets=None) -> None:
        for listening in [*self.servers, *(sockets or [])]:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        await self.lifespan.shutdown()


@dataclass
class Running:
    """A gateway that serves, and its backends."""

    app: Gateway
    port: int
    fast: ScriptedUpstream
    deep: ScriptedUpstream
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def chat(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        body = {"model": "auto", "messages": HELLO, **fields}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def raw(self) -> "RawClient":
        return RawClient(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**26))

    def in_flight(self) -> int:
        return sum(pool.in_flight for pool in self.app.pools.values())

    async def idle(self) -> None:
        """Waits until nothing is in flight; fails where that takes longer than half a second."""
        assert await soon(lambda: not self.in_flight())

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one sample of /metrics; 0 where it is not there."""
        return self.app.meters.registry.get_sample_value(name, labels) or 0.0


class RawClient:
    """A client that writes and reads bytes, for everything that a proper one would not do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(
        self, body: bytes | None = None, *lines: str, path: str = "/v1/chat/completions", **fields: Any
    ) -> None:
        """Send a chat request, with extra header lines."""
        if body is None:
            body = json.dumps({"model": "auto", "messages": HELLO, **fields}).encode()
        head = [
            f"POST {path} HTTP/1.1",
            "host: x",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *lines,
        ]
        await self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)).decode("latin-1")
        line, *rest = head[:-4].split("\r\n")
        status = int(line.split(" ")[1])
        if status < 200:
            return await self.answer()
        headers = {name.lower(): value for name, _, value in (header.partition(": ") for header in rest)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
            return status, headers, body
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def until(self, text: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(text), 30)

    def vanish(self) -> None:
        """Drop the connection at once."""
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


CONNECT_S = 10
"""So much, because a shared machine can stand still for seconds."""

Start = Callable[..., Awaitable[Running]]


both_ways = pytest.mark.parametrize("way", ["lane", "asgi"], indirect=True)
"""For what the two ways of a request could do differently."""


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    """Requests reach the gateway by its own server's direct lane, or (`asgi`) through any ASGI server."""
    return getattr(request, "param", "lane")


@pytest.fixture
async def start(way: str) -> AsyncIterator[Start]:
    """Starts a gateway; `changes` are merged into the configuration section by section."""
    cleanup: list[Callable[[], Awaitable[None]]] = []
    upstreams: list[ScriptedUpstream] = []

    async def start(score: float = 0.0, replicas: int = 1, own_transport: bool = True, **changes: Any) -> Running:
        fast, deep = ScriptedUpstream(), ScriptedUpstream()
        for upstream in (fast, deep):
            await upstream.start()
            upstreams.append(upstream)
        data = {
            "server": {"port": 0, "listeners": 1},
            "pools": {
                "fast": {"model": "instruct", "replicas": [fast.url] * replicas},
                "deep": {"model": "thinking", "replicas": [deep.url]},
            },
            "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
            "judge": {"kind": "constant", "score": score},
            "health": {"interval_s": 3600},
            "timeouts": {"connect_s": CONNECT_S},
        }
        for section, values in copy.deepcopy(changes).items():
            data[section] = {**data.get(section, {}), **values}
        settings = parse_settings(data, {})
        transport = httpx.AsyncHTTPTransport(verify=NO_TLS) if own_transport else None
        app = create_app(settings, health_transport=transport)
        sockets = open_listeners("127.0.0.1", 0, 1)
        config = uvicorn.Config(
            app,
            http=protocol_for(app) if way == "lane" else "httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_S,  # uvicorn's own 5 s are the client's too: they would meet
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        server = QuietServer(config)
        task = asyncio.create_task(server.serve(sockets))
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.002)
        port = sockets[0].getsockname()[1]
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=NO_TLS, timeout=60)

        async def stop() -> None:
            await http.aclose()
            server.stopping.set()
            await task

        cleanup.append(stop)
        return Running(app, port, fast, deep, http)

    yield start
    for stop in reversed(cleanup):
        await stop()
    for upstream in upstreams:
        await upstream.stop()
    assert [repr(failure) for upstream in upstreams for failure in upstream.failures] == []


@pytest.fixture
async def gateway(start: Start) -> Running:
    """A gateway with the default configuration; its judge sends everything to Instruct."""
    return await start()
