"""nginx, HAProxy and Envoy before the gateway, with the committed configurations: streams come unbuffered, a client
that leaves is noticed behind them, and gateways are restarted one after the other under load without a lost request."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.client import Outcomes, ask_at_rate, stream_for_ever
from tests.chaos.processes import Gateway, Replica
from tests.deploy.tools import ROOT, free_port, tool, wait_for

PROXIES = ROOT / "deploy/proxies"
CHUNKS, DELAY_MS = 20, 100.0
KEY = "a-key-for-the-proxies-test"


@dataclass(frozen=True)
class Proxy:
    """How a proxy is started with a configuration file, and what holds its address in the committed one."""

    file: str
    listens: str
    command: Callable[[Path], list[str]]

    @contextmanager
    def running(self, folder: Path, gateways: list[int], more: str = "") -> Iterator[int]:
        """The proxy as a process, in front of the gateways, with `more` configuration; its port."""
        port = free_port()
        text = (PROXIES / self.file).read_text("utf-8") + more
        assert self.listens in text
        text = text.replace(self.listens, self.listens.replace("8000", str(port)))
        for written, real in zip(("127.0.0.1:8080", "127.0.0.1:8081"), gateways, strict=False):
            assert written in text or self.file == "envoy.yaml"
            text = text.replace(written, f"127.0.0.1:{real}")
        text = text.replace("port_value: 8080", f"port_value: {gateways[0]}")
        if len(gateways) == 1:
            text = "".join(line for line in text.splitlines(keepends=True) if "8081" not in line)
        path = folder / self.file
        path.write_text(text, "utf-8")
        with (folder / "proxy.log").open("wb") as log:
            process = subprocess.Popen(self.command(path), stdout=log, stderr=log)
        try:
            wait_for(
                f"{self.file} to serve", lambda: httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
            )
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _nginx(path: Path) -> list[str]:
    own = f"daemon off; pid {path.parent}/nginx.pid; error_log stderr;"
    return [tool("nginx"), "-p", str(path.parent), "-c", str(path), "-g", own]


PROXIES_BY_NAME = {
    "nginx": Proxy("nginx.conf", "listen 8000;", _nginx),
    "haproxy": Proxy("haproxy.cfg", "bind :8000", lambda path: [tool("haproxy"), "-db", "-f", str(path)]),
    "envoy": Proxy(
        "envoy.yaml",
        "port_value: 8000",
        lambda path: [tool("envoy"), "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn"],
    ),
}


def settings(backend: int, port: int = 0) -> dict[str, Any]:
    return {
        "server": {"port": port, "drain_delay_s": 3, "drain_timeout_s": 30},
        "auth": {"keys": [{"key": KEY}]},
        "pools": {"fast": {"model": "fake", "replicas": [f"http://127.0.0.1:{backend}"]}},
        "routes": {"auto": {"family": "qwen3-hybrid", "pool": "fast"}},
        "judge": {"kind": "constant", "score": 0.0},
    }


@asynccontextmanager
async def gateways(count: int) -> AsyncIterator[list[Gateway]]:
    """Gateways with one backend, each at a port that it keeps when it is started again."""
    replica = Replica(free_port(), "fake", delay_ms=DELAY_MS, latency_ms=50.0, ttft_ms=50.0)
    made = [Gateway(settings(replica.port, free_port())) for _ in range(count)]
    try:
        await replica.start()
        await asyncio.gather(*(gateway.start() for gateway in made))
        yield made
    finally:
        await replica.kill()
        for gateway in made:
            await gateway.kill()


def body(**fields: Any) -> dict[str, Any]:
    asked = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": CHUNKS}
    return asked | fields


@pytest.mark.parametrize("name", PROXIES_BY_NAME)
async def test_a_proxy_lets_everything_through_as_it_comes(name: str, tmp_path: Path) -> None:
    auth = {"authorization": f"Bearer {KEY}"}
    async with gateways(1) as (gateway,):
        with PROXIES_BY_NAME[name].running(tmp_path, [gateway.port]) as port:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=auth, timeout=30) as client:
                # A stream: its chunks come as they are made, not in one piece at the end.
                at_s: list[float] = []
                text = b""
                async with client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as answer:
                    assert answer.status_code == 200
                    assert answer.headers["x-thinkgate-mode"] == "instruct"
                    async for part in answer.aiter_raw():
                        at_s.append(time.monotonic())
                        text += part
                assert text.rstrip().endswith(b"data: [DONE]")
                assert json.loads(text.split(b"data: ")[1])["choices"]
                assert len(at_s) >= CHUNKS // 2
                assert at_s[-1] - at_s[0] >= 0.5 * CHUNKS * DELAY_MS / 1e3

                # Names, sizes and errors.
                asked = await client.post("/v1/chat/completions", json=body(), headers={"x-request-id": "mine"})
                assert (asked.status_code, asked.headers["x-request-id"]) == (200, "mine")
                long = [{"role": "user", "content": "word " * 1_000_000}]
                assert (await client.post("/v1/chat/completions", json=body(messages=long))).status_code == 200
                refused = await client.get("/v1/models", headers={"authorization": "Bearer wrong"})
                assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")

                # A client that leaves in the middle: the gateway hears of it, and so does the backend.
                endless = body(stream=True, max_tokens=10_000)
                async with client.stream("POST", "/v1/chat/completions", json=endless) as answer:
                    await anext(answer.aiter_raw())
                    assert await gateway.in_flight() == 1
                for _ in range(100):
                    if not await gateway.in_flight():
                        break
                    await asyncio.sleep(0.1)
                assert await gateway.in_flight() == 0


@pytest.mark.parametrize("rounds", [3])
async def test_gateways_restarted_one_after_the_other_behind_haproxy_lose_nothing(rounds: int, tmp_path: Path) -> None:
    statistics = free_port()
    ask = f"\nfrontend statistics\n    bind 127.0.0.1:{statistics}\n    stats enable\n    stats uri /\n"

    def both_are_seen() -> bool:
        lines = httpx.get(f"http://127.0.0.1:{statistics}/;csv", timeout=5).text.splitlines()
        servers = [line.split(",") for line in lines if line.startswith("gateways,gateway")]
        assert len(servers) == 2, lines
        return all(server[17] == "UP" for server in servers)

    async with gateways(2) as pair:
        with PROXIES_BY_NAME["haproxy"].running(tmp_path, [gateway.port for gateway in pair], ask) as port:
            streams, requests, stop = Outcomes(), Outcomes(), asyncio.Event()
            load = [asyncio.create_task(stream_for_ever(port, streams, stop, i, CHUNKS, KEY)) for i in range(20)]
            load.append(asyncio.create_task(ask_at_rate(port, requests, stop, 40.0, KEY)))
            await asyncio.to_thread(wait_for, "both gateways", both_are_seen)
            for turn in range(rounds * 2):
                gateway = pair[turn % 2]
                assert await gateway.stop() == 0
                await gateway.start()
                await asyncio.to_thread(wait_for, "both gateways", both_are_seen)
            stop.set()
            await asyncio.gather(*load)
    for outcomes in (streams, requests):
        assert set(outcomes.counts) == {"ok"}, outcomes.examples
    assert requests.counts["ok"] > 100
    assert streams.counts["ok"] > 50
