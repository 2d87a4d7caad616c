"""A gateway that runs out of file descriptors: what goes on, and what comes back."""

import asyncio
import contextlib
import time

import pytest

from tests.chaos.client import Client, Outcomes
from tests.chaos.processes import Gateway, Replica, free_ports
from tests.chaos.run import settings

DESCRIPTORS = 100


@pytest.mark.timeout(180)
async def test_open_streams_go_on_without_descriptors_and_new_requests_when_there_are_some_again():
    (port,) = free_ports(1)
    replica = Replica(port, "fake", delay_ms=100.0, latency_ms=10.0, ttft_ms=10.0)
    gateway = Gateway(settings([port]), descriptors=DESCRIPTORS)
    streams, requests = Outcomes(), Outcomes()
    idle: list[asyncio.StreamWriter] = []
    client, early = Client(0), Client(0)
    try:
        await replica.start()
        await gateway.start()
        client, early = Client(gateway.port), Client(gateway.port)
        fields = {"stream": True, "max_tokens": 60, "messages": [{"role": "user", "content": "x"}]}
        stream = asyncio.create_task(early.ask(streams, **fields))
        await asyncio.sleep(0.5)
        for _ in range(3 * DESCRIPTORS):  # the kernel takes them all; the gateway cannot
            idle.append((await asyncio.open_connection("127.0.0.1", gateway.port))[1])
        await asyncio.sleep(0.5)
        assert gateway.resources()["descriptors"] >= DESCRIPTORS - 1
        cpu_s, started_s = gateway.cpu_s(), time.monotonic()
        await stream
        assert streams.counts == {"ok": 1}, streams.examples
        assert (gateway.cpu_s() - cpu_s) / (time.monotonic() - started_s) < 0.5, "it spins"
        for writer in idle:
            writer.transport.abort()
        await asyncio.sleep(1.0)
        await client.ask(requests, messages=[{"role": "user", "content": "x"}])
        assert requests.counts == {"ok": 1}, requests.examples
        assert gateway.resources()["descriptors"] < DESCRIPTORS // 2
        assert await gateway.stop() == 0
    finally:
        client.close()
        early.close()
        for writer in idle:
            with contextlib.suppress(OSError):
                writer.transport.abort()
        await replica.kill()
        await gateway.kill()
