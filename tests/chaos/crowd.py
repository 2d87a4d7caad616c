"""Clients that do harm without a fault of the backends: slow senders, slow readers, a flood. A process of its own, so
that what it costs itself is not taken for what it costs others.

    python -m tests.chaos.crowd PORT KIND COUNT [KEY]        until it is killed
"""

import asyncio
import contextlib
import json
import socket
import sys

from tests.chaos.client import Client, Outcomes

DRIP_S = 0.5
SIP_BYTES = 64
RECEIVE_BUFFER_BYTES = 4096
CHUNKS = 3000


async def slow_sender(port: int, number: int, key: str) -> None:
    """A head that never ends, a byte at a time; begun anew whenever the gateway closes it."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: ")
            while not reader.at_eof():
                writer.write(b"a")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(4096), DRIP_S)
            writer.close()
        await asyncio.sleep(0.1)


async def slow_reader(port: int, number: int, key: str) -> None:
    """A stream that is read in sips; begun anew when it has ended."""
    loop = asyncio.get_running_loop()
    body = json.dumps({"model": "auto", "stream": True, "max_tokens": CHUNKS, "messages": [
        {"role": "user", "content": f"reader {number}"}]}).encode()  # fmt: skip
    while True:
        with contextlib.suppress(OSError), socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            s.setblocking(False)
            await loop.sock_connect(s, ("127.0.0.1", port))
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            await loop.sock_sendall(s, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            while await loop.sock_recv(s, SIP_BYTES):  # noqa: ASYNC110 - there is no event: slow is what it is
                await asyncio.sleep(DRIP_S)
        await asyncio.sleep(0.1)


async def flood(port: int, rate: int, key: str) -> None:
    """Requests of one tenant, `rate` a second for as long as the connections keep up."""

    async def one_of(count: int) -> None:
        client, outcomes = Client(port, key), Outcomes()
        while True:
            await client.ask(outcomes, messages=[{"role": "user", "content": "flood"}])
            outcomes.latencies_s.clear()
            await asyncio.sleep(count / rate)

    connections = 32
    await asyncio.gather(*(one_of(connections) for _ in range(connections)))


async def _crowd(port: int, kind: str, count: int, key: str) -> None:
    if kind == "flood":
        await flood(port, count, key)
    one = {"slow_senders": slow_sender, "slow_readers": slow_reader}[kind]
    await asyncio.gather(*(one(port, number, key) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(_crowd(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else ""))
