"""Clients that ask all the time, and tell how each request ended. Knows HTTP's bytes; knows no gateway."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field

LIMIT_S = 60.0
IDLE_S = 20.0  # well before the gateway closes idle connections: a request must not cross that on its way


@dataclass
class Outcomes:
    """How requests ended, by kind: `ok`, `error` (a visible one, after the first byte), and what may not be: `refused`
    (an error instead of a first byte), `silent` (a short answer that looks whole), `hung`, `lost` (no answer)."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)

    def add(self, kind: str, example: bytes = b"") -> None:
        self.counts[kind] += 1
        self.examples.setdefault(kind, example[-400:].decode("utf-8", "replace"))

    def p(self, share: float) -> float:
        found = sorted(self.latencies_s)
        return found[min(len(found) - 1, int(share * len(found)))] if found else 0.0


class Client:
    """One connection that is kept, and made anew where it is gone."""

    def __init__(self, port: int, key: str = "") -> None:
        self._port = port
        self._auth = f"authorization: Bearer {key}\r\n" if key else ""
        self._used_s = 0.0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, outcomes: Outcomes, **fields: object) -> None:
        """One request, to its end."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_S):
                status, body = await self._exchange(fields)
        except TimeoutError:
            outcomes.add("hung")
            self.close()
            return
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            outcomes.add("lost", repr(error).encode())
            self.close()
            return
        outcomes.latencies_s.append(time.monotonic() - started)
        outcomes.add(_kind(status, body, bool(fields.get("stream"))), body)

    async def _exchange(self, fields: dict[str, object]) -> tuple[int, bytes]:
        body = json.dumps({"model": "auto", **fields}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{self._auth}content-length: {len(body)}\r\n\r\n"
        idle_s = time.monotonic() - self._used_s
        if self._streams is None or self._streams[0].at_eof() or idle_s > IDLE_S:
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(head.encode() + body)
        answer_head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(answer_head[9:12])
        if b"transfer-encoding: chunked" not in answer_head:
            length = int(answer_head.split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
        else:
            parts = [b""]
            while not parts[-1].endswith(b"0\r\n\r\n"):
                part = await reader.read(65536)
                if not part:
                    raise asyncio.IncompleteReadError(b"".join(parts), None)
                parts.append(part if len(part) > 5 else parts.pop() + part)
            answer = b"".join(parts)
        self._used_s = time.monotonic()
        if b"connection: close" in answer_head:
            self.close()
        return status, answer

    def close(self) -> None:
        if self._streams is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._streams[1].transport.abort()
            self._streams = None


def _kind(status: int, body: bytes, streaming: bool) -> str:
    if status != 200:
        return "refused"
    if not streaming:
        return "ok" if b'"finish_reason":"stop"' in body and body.rstrip().endswith(b"}") else "silent"
    if b"data: [DONE]" not in body:
        return "silent"
    if b'data: {"error"' in body:
        return "error"
    return "ok" if b'"finish_reason":"stop"' in body else "silent"


async def stream_for_ever(
    port: int, outcomes: Outcomes, stop: asyncio.Event, number: int, chunks: int, key: str = ""
) -> None:
    """Streams one after the other."""
    client = Client(port, key)
    turn = 0
    while not stop.is_set():
        turn += 1
        text = f"stream {number} {turn}"
        await client.ask(outcomes, stream=True, max_tokens=chunks, messages=[{"role": "user", "content": text}])
    client.close()


async def ask_at_rate(port: int, outcomes: Outcomes, stop: asyncio.Event, per_s: float, key: str = "") -> None:
    """Requests in one piece, `per_s` a second whether the ones before have ended or not."""
    idle: list[Client] = []
    tasks: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        client = idle.pop() if idle else Client(port, key)
        await client.ask(outcomes, messages=[{"role": "user", "content": f"request {number}"}])
        idle.append(client)

    started, number = time.monotonic(), 0
    while not stop.is_set():
        number += 1
        tasks.add(task := asyncio.create_task(one(number)))
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(max(0.0, started + number / per_s - time.monotonic()))
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
