"""A backend on a real socket that does exactly what a test's script says, broken things above all."""

import asyncio
import contextlib
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fixtures import recorded, recorded_stream


@dataclass
class Received:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    raw_head: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Turn:
    """One request and the connection to answer it on."""

    request: Received
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def head(self, status: int = 200, content_type: str = "text/event-stream", *lines: str) -> None:
        head = [f"HTTP/1.1 {status} X", f"content-type: {content_type}", *lines]
        await self.send("\r\n".join(head).encode() + b"\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def stream_head(self) -> None:
        await self.head(200, "text/event-stream; charset=utf-8", "transfer-encoding: chunked")

    async def answer(self, status: int, body: bytes, *lines: str, content_type: str = "application/json") -> None:
        await self.head(status, content_type, f"content-length: {len(body)}", *lines)
        await self.send(body)

    def reset(self) -> None:
        self.writer.transport.abort()

    async def wait_gone(self, limit_s: float = 0.5) -> None:
        """Returns when the gateway has dropped the connection; fails where it does not in time."""
        async with asyncio.timeout(limit_s):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        self.gone.set()


Script = Callable[[Turn], Awaitable[bool | None]]


def whole(name: str = "chat_instruct", status: int = 200) -> Script:
    """Answers with a recording, in one piece; keeps the connection."""

    async def script(turn: Turn) -> bool:
        await turn.answer(status, recorded(name).body)
        return True

    return script


def stream(name: str = "trained_thinking_stream", pause_s: float = 0.0, keep: bool = True) -> Script:
    """Answers with a recorded stream, an event a chunk; keeps the connection."""

    async def script(turn: Turn) -> bool:
        await turn.stream_head()
        for event in recorded_stream(name)[:-2].split(b"\n\n"):
            await turn.chunk(event + b"\n\n")
            if pause_s:
                await asyncio.sleep(pause_s)
        await turn.send(b"0\r\n\r\n")
        return keep

    return script


def error(status: int, message: str = "no", *lines: str) -> Script:
    async def script(turn: Turn) -> bool:
        body = {"error": {"message": message, "type": "T", "param": None, "code": status}}
        await turn.answer(status, json.dumps(body).encode(), *lines)
        return True

    return script


RECORDED = {
    "/v1/chat/completions": ("chat_instruct", "chat_instruct_stream_usage"),
    "/v1/completions": ("compl_instruct", "compl_instruct_stream"),
    "/v1/responses": ("resp_trained", "resp_trained_stream"),
    "/v1/messages": ("messages_trained", "messages_trained_stream"),
    "/v1/messages/count_tokens": ("messages_instruct_count_tokens", ""),
    "/tokenize": ("tokenize_instruct_prompt", ""),
    "/detokenize": ("detokenize_instruct", ""),
}
"""The recordings of one answer and one stream of each endpoint."""


async def as_asked(turn: Turn) -> bool:
    """A recorded stream where a stream was asked for, else a recorded answer; of the endpoint that was asked."""
    one, streamed = RECORDED[turn.request.path]
    return bool(await (stream(streamed) if turn.request.json.get("stream") is True else whole(one))(turn))


class ScriptedUpstream:
    """Listens on a free port. Each chat request takes the next script, or the default one where none is left."""

    def __init__(self, default: Script = as_asked) -> None:
        self.default = default
        self.scripts: deque[Script] = deque()
        self.requests: list[Received] = []
        self.connections = 0
        self.metrics = b""  # what /metrics says
        self.frozen = False  # /health does not answer
        self.failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def then(self, *scripts: Script) -> None:
        self.scripts.extend(scripts)

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**26, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        first = True
        try:
            while (request := await _read(reader)) is not None:
                if request.path == "/health":
                    if self.frozen:
                        await asyncio.sleep(3600)
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    return
                if request.path == "/metrics":
                    body = self.metrics
                    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
                    writer.write(head + body)
                    return
                self.connections += first
                first = False
                self.requests.append(request)
                script = self.scripts.popleft() if self.scripts else self.default
                if not await script(Turn(request, reader, writer)):
                    return
        except ConnectionError:
            pass
        except asyncio.CancelledError:
            pass
        except BaseException as problem:
            self.failures.append(problem)
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head[:-4].decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ")
    headers = {name.lower(): value for name, _, value in (header.partition(": ") for header in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body, head)
