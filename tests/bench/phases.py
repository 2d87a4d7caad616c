"""The loads, and what is read from them. Knows load.py's figures; starts no gateway."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.gateways import Started
from tests.bench.load import rss_mb
from tests.bench.processes import Upstream, load

Run = dict[str, Any]
CHUNK_EVERY_MS = 20
HELD_EVERY_MS = 100  # 2,048 streams at 20 ms would be more than load generator and fake vLLM have a core for


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long a load lasts."""

    seconds: float = 2.5
    chunks: int = 200


QUICK = Lengths(1.0, 60)
FULL = Lengths()


def requests(gateway: Started, behind: Upstream, connections: int, seconds: float, *options: object) -> Run:
    """Non-streamed requests in a closed loop."""
    behind.control(delay_ms=0)
    return load("http", gateway.url, gateway.model, gateway.pid, "-c", connections, "-d", seconds, "-w", 0.5, *options)


def streams(
    gateway: Started, behind: Upstream, count: int, chunks: int, every_ms: int = CHUNK_EVERY_MS, ramp_s: float = 1.0
) -> Run:
    """`count` streams at once, a chunk every `every_ms` in each, begun over `ramp_s`. What does not end is cut off."""
    behind.control(delay_ms=every_ms)
    limit_s = chunks * every_ms / 1e3 + ramp_s
    options = ("-s", count, "-n", chunks, "-r", 1, "--ramp", ramp_s, "--max-seconds", limit_s, "--grace", 10)
    found = load("stream", gateway.url, gateway.model, gateway.pid, *options)
    behind.drain()
    behind.control(delay_ms=0)
    return found


def phases(lengths: Lengths) -> dict[str, Callable[[Started, Upstream], Run]]:
    """All loads, by name."""
    seconds, chunks = lengths.seconds, lengths.chunks
    return {
        "c1": lambda g, up: requests(g, up, 1, seconds),
        "c8": lambda g, up: requests(g, up, 8, seconds),
        "c64": lambda g, up: requests(g, up, 64, seconds),
        "streams64": lambda g, up: streams(g, up, 64, chunks),
        "streams256": lambda g, up: streams(g, up, 256, chunks),
        "streams1024": lambda g, up: streams(g, up, 1024, chunks // 2),
        "held2048": lambda g, up: streams(g, up, 2048, chunks // 4, HELD_EVERY_MS, 2.0),
    }


def turn(gateway: Started, behind: Upstream, lengths: Lengths, say: Callable[[str], None]) -> Run:
    """Every load once, after a warm-up, with the memory that the gateway has before them."""
    requests(gateway, behind, 8, 0.7)
    found: Run = {"start_s": gateway.start_s}
    if gateway.pid is not None:
        found["rss_idle_mb"] = round(rss_mb(gateway.pid), 1)
    for name, phase in phases(lengths).items():
        say(name)
        found[name] = phase(gateway, behind)
    return found


def middle(turns: list[Run], *path: str) -> float | None:
    """The median over turns of the figure at `path`; None where there is none."""
    values = []
    for value in turns:
        found: Any = value
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, (int, float)):
            values.append(float(found))
    return statistics.median(values) if values else None


def summary(turns: list[Run], directly: list[Run]) -> dict[str, float | None]:
    """The figures of the table. Latencies are what the gateway adds to `directly`, in the same run."""

    def added_ms(*path: str) -> float | None:
        ours, theirs = middle(turns, *path), middle(directly, *path)
        return None if ours is None or theirs is None else (ours - theirs) / 1e3

    def scaled(value: float | None, by: float) -> float | None:
        return None if value is None else value * by

    idle, at_1024 = middle(turns, "rss_idle_mb"), middle(turns, "streams1024", "gw_rss_mb")
    loads = [run for turn in turns for name, run in turn.items() if isinstance(run, dict)]
    return {
        "request_cpu_us_c8": middle(turns, "c8", "gw_cpu_us_per_req"),
        "request_cpu_us_c64": middle(turns, "c64", "gw_cpu_us_per_req"),
        "chunk_cpu_us_64": middle(turns, "streams64", "gw_cpu_us_per_chunk"),
        "chunk_cpu_us_256": middle(turns, "streams256", "gw_cpu_us_per_chunk"),
        "chunk_cpu_us_1024": middle(turns, "streams1024", "gw_cpu_us_per_chunk"),
        "added_c1_p50_ms": added_ms("c1", "latency_us", "p50"),
        "added_c1_p99_ms": added_ms("c1", "latency_us", "p99"),
        "added_token_p99_ms": added_ms("streams256", "transit_us", "p99"),
        "ttft_p99_1024_ms": scaled(middle(turns, "streams1024", "ttft_us", "p99"), 1e-3),
        "held_2048": middle(turns, "held2048", "completed"),
        "rss_idle_mb": idle,
        "kb_a_stream": None if idle is None or at_1024 is None else (at_1024 - idle) * 1e3 / 1024,
        "start_s": middle(turns, "start_s"),
        "errors": float(sum(run["errors"] for run in loads)),
        "unfinished": float(sum(run.get("unfinished", 0) for run in loads)),
        "starved_pct": max((run.get("gw_starved_pct", 0.0) for run in loads), default=0.0),
    }
