"""Replicas that are killed or frozen under load: what clients see, and what stays behind in the gateway.

    python -m tests.chaos.run --seconds 180 --streams 200 --rate 200 [--fault kill|freeze] [--every 5]

Needs no vLLM: the backends are fake ones (tests/bench/upstream.py), as processes of their own.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.chaos.client import Outcomes, ask_at_rate, stream_for_ever
from tests.chaos.growth import Growth
from tests.chaos.processes import Gateway, Replica, free_ports


@dataclass(frozen=True)
class Plan:
    seconds: float = 180.0
    streams: int = 200
    rate: float = 200.0
    every_s: float = 5.0
    fault: str = "kill"
    chunks: int = 40
    delay_ms: float = 50.0
    latency_ms: float = 50.0
    freeze_s: float = 12.0


def settings(ports: list[int]) -> dict[str, Any]:
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    return {
        "server": {"port": 0, "drain_timeout_s": 10},
        "pools": {"fast": {"model": "fake", "replicas": urls}, "deep": {"model": "fake-deep", "replicas": urls}},
        "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
        "judge": {"kind": "constant", "score": 0.0},
        "profiles": {"default": {"fallback": False}},  # the pool itself must do
        "health": {"interval_s": 2, "timeout_s": 1, "down_after": 2},
        # Every request opens a conversation. Up to 100,000 are remembered, some 300 bytes each: that is no leak, and
        # would hide one.
        "sessions": {"capacity": 2_000},
    }


async def run(plan: Plan) -> dict[str, Any]:
    """The figures of one run."""
    ports = free_ports(2)
    replicas = [
        Replica(port, "fake", delay_ms=plan.delay_ms, latency_ms=plan.latency_ms, ttft_ms=100.0) for port in ports
    ]
    gateway = Gateway(settings(ports))
    streams, requests, stop = Outcomes(), Outcomes(), asyncio.Event()
    growth = Growth(gateway.resources)
    faults = 0
    try:
        await asyncio.gather(*(replica.start() for replica in replicas))
        await gateway.start()
        load = [
            asyncio.create_task(stream_for_ever(gateway.port, streams, stop, i, plan.chunks))
            for i in range(plan.streams)
        ]
        load.append(asyncio.create_task(ask_at_rate(gateway.port, requests, stop, plan.rate)))
        await asyncio.sleep(min(5.0, plan.seconds / 4))
        before = gateway.resources()
        watching = asyncio.create_task(growth.watch())
        ends_s = time.monotonic() + plan.seconds
        while time.monotonic() < ends_s:
            await _break(replicas[faults % 2], plan)
            faults += 1
            await asyncio.sleep(max(0.0, min(plan.every_s, ends_s - time.monotonic())))
        watching.cancel()
        stop.set()
        await asyncio.gather(*load)
        for _ in range(100):
            if not await gateway.in_flight():
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(6.0)  # idle connections to backends are closed by then
        metrics = await gateway.metrics()
        after = gateway.resources()
        in_flight = await gateway.in_flight()
        log = gateway.log.read_text()
        status = await gateway.stop()
    finally:
        await asyncio.gather(*(replica.kill() for replica in replicas))
        await gateway.kill()
    bad = ("refused", "silent", "hung", "lost")
    return {
        "faults": faults,
        "streams": dict(streams.counts),
        "requests": dict(requests.counts),
        "bad": sum(o.counts[kind] for o in (streams, requests) for kind in bad),
        "examples": {k: v for o in (streams, requests) for k, v in o.examples.items() if k in bad},
        "request_p50_ms": round(requests.p(0.5) * 1e3, 1),
        "request_p99_ms": round(requests.p(0.99) * 1e3, 1),
        "in_flight_after": in_flight,
        "retries": metrics.get("thinkgate_retries_total", 0.0),
        "before": before,
        "after": after,
        "growth": growth.figures(),
        "grows": growth.grows(),
        "internal_errors": log.count("internal error"),
        "exit_status": status,
    }


async def _break(replica: Replica, plan: Plan) -> None:
    if plan.fault == "kill":
        await replica.kill()
        await replica.start()
    else:
        replica.signal(signal.SIGSTOP)
        await asyncio.sleep(plan.freeze_s)
        replica.signal(signal.SIGCONT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--fault", choices=["kill", "freeze"], default="kill")
    given = parser.parse_args()
    plan = Plan(given.seconds, given.streams, given.rate, given.every, given.fault)
    figures = asyncio.run(run(plan))
    print(json.dumps(figures, indent=1))
    left = figures["after"]["descriptors"] - figures["before"]["descriptors"]
    faults = ("bad", "in_flight_after", "grows", "internal_errors", "exit_status")
    return 1 if left > 0 or any(figures[name] for name in faults) else 0


if __name__ == "__main__":
    sys.exit(main())
