"""What others feel of slow senders, slow readers and a flooding tenant: their p99 with and without, in turns.

    python -m tests.chaos.neighbours [--rounds 5] [--seconds 8] [--rate 50]

Needs no vLLM: the backend is a fake one (tests/bench/upstream.py), as a process of its own.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from tests.chaos.client import Outcomes, ask_at_rate
from tests.chaos.processes import ROOT, Gateway, Replica, free_ports

CALM, CROWD, LOUD = "key-of-the-calm", "key-of-the-crowd", "key-of-the-loud"
LIMIT_PER_MINUTE = 600
SETTLE_S = 3.0


@dataclass(frozen=True)
class Crowd:
    """Who disturbs: its kind, how many (or how many requests a second), and with which key."""

    kind: str
    count: int
    key: str = ""


CROWDS = (
    Crowd("slow_senders", 60),
    Crowd("slow_readers", 500, CROWD),
    Crowd("flood", LIMIT_PER_MINUTE // 60 * 10, LOUD),
)


@dataclass(frozen=True)
class Plan:
    rounds: int = 5
    seconds: float = 8.0
    rate: float = 50.0
    crowds: tuple[Crowd, ...] = CROWDS


def settings(port: int) -> dict[str, Any]:
    keys = [{"key": CALM, "tenant": "calm"}, {"key": CROWD, "tenant": "crowd"}, {"key": LOUD, "tenant": "loud"}]
    return {
        "server": {"port": 0, "drain_timeout_s": 2},
        "auth": {"keys": keys},
        "tenants": {"loud": {"limits": {"requests_per_minute": LIMIT_PER_MINUTE}}},
        "pools": {"fast": {"model": "fake", "replicas": [f"http://127.0.0.1:{port}"]}},
        "routes": {"auto": {"family": "qwen3-hybrid", "pool": "fast"}},
        "judge": {"kind": "constant", "score": 0.0},
    }


async def run(plan: Plan) -> dict[str, Any]:
    """The figures of one run: by crowd, the p50 and p99 of a calm tenant's requests beside it and without it."""
    (port,) = free_ports(1)
    replica = Replica(port, "fake", delay_ms=100.0, latency_ms=20.0, ttft_ms=20.0)
    gateway = Gateway(settings(port))
    figures: dict[str, Any] = {}
    try:
        await replica.start()
        await gateway.start()
        await _measure(gateway.port, Outcomes(), plan)  # warm
        for crowd in plan.crowds:
            alone, beside = Outcomes(), Outcomes()
            for _ in range(plan.rounds):
                await _measure(gateway.port, alone, plan)
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.chaos.crowd", str(gateway.port), crowd.kind, str(crowd.count)),
                    crowd.key,
                    cwd=ROOT,
                )
                await asyncio.sleep(SETTLE_S)
                await _measure(gateway.port, beside, plan)
                assert process.returncode is None, f"the crowd of {crowd.kind} has gone home early"
                process.kill()
                await process.wait()
                await asyncio.sleep(1.0)
            figures[crowd.kind] = _compared(alone, beside)
        figures["exit_status"] = await gateway.stop()
    finally:
        await replica.kill()
        await gateway.kill()
    return figures


async def _measure(port: int, outcomes: Outcomes, plan: Plan) -> None:
    stop = asyncio.Event()
    asking = asyncio.create_task(ask_at_rate(port, outcomes, stop, plan.rate, CALM))
    await asyncio.sleep(plan.seconds)
    stop.set()
    await asking


def _compared(alone: Outcomes, beside: Outcomes) -> dict[str, Any]:
    told: dict[str, Any] = {"requests": [sum(o.counts.values()) for o in (alone, beside)]}
    told["failed"] = sum(sum(o.counts.values()) - o.counts["ok"] for o in (alone, beside))
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        told[name] = [round(o.p(share) * 1e3, 2) for o in (alone, beside)]
    told["p99_ratio"] = round(beside.p(0.99) / alone.p(0.99), 3)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate", type=float, default=50.0)
    given = parser.parse_args()
    figures = asyncio.run(run(Plan(given.rounds, given.seconds, given.rate)))
    print(json.dumps(figures, indent=1))
    return 1 if any(told["failed"] for told in figures.values() if isinstance(told, dict)) else 0


if __name__ == "__main__":
    sys.exit(main())
