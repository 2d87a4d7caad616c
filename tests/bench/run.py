"""What a request and a chunk cost the gateway, measured against a fake vLLM, the gateway alone on one core.

    python tests/bench/run.py [--quick] [--output results/gateway.json]

`make bench` runs it. CPU time of the gateway's process is the figure to trust; wall-clock figures move with whatever
else the machine does. Needs Linux and two cores: load and upstream share one, the gateway has the other.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOAD_CPU, GATEWAY_CPU = "0", "1"
UPSTREAM, GATEWAY = "http://127.0.0.1:9001", "http://127.0.0.1:8180"
KEY = "bench-key"


def pinned(cpu: str, *command: str) -> list[str]:
    return ["taskset", "-c", cpu, *command]


@contextlib.contextmanager
def running(name: str, command: list[str], ready_url: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The process, and the seconds until it was ready."""
    log = Path(os.environ.get("TMPDIR", "/tmp")) / f"thinkgate-bench-{name}.log"
    started = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(ready_url, timeout=1, trust_env=False).status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() - started > 60:
                sys.exit(f"{name} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield process, time.monotonic() - started
    finally:
        process.terminate()
        process.wait(20)


def control(**settings: float | str) -> None:
    for port in (9001, 9002):
        httpx.get(f"http://127.0.0.1:{port}/__ctl", params=settings, trust_env=False)


def load(kind: str, url: str, pid: int | None, *options: object) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "load.py"), kind, "--url", url, *map(str, options)]
    command += ["--model", "auto" if url == GATEWAY else "fake-model", "--header", f"authorization: Bearer {KEY}"]
    if pid is not None:
        command += ["--pid", str(pid)]
    done = subprocess.run(pinned(LOAD_CPU, *command), capture_output=True, text=True, check=True, timeout=180)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def requests(url: str, pid: int | None, connections: int, seconds: float) -> dict[str, Any]:
    control(delay_ms=0)
    return load("http", url, pid, "-c", connections, "-d", seconds, "-w", 0.5)


def streams(url: str, pid: int | None, count: int, chunks: int) -> dict[str, Any]:
    control(delay_ms=20)
    found = load("stream", url, pid, "-s", count, "-n", chunks, "-r", 1, "--ramp", 1.0)
    control(delay_ms=0)
    return found


def measure(pid: int, repetitions: int, quick: bool) -> dict[str, list[dict[str, Any]]]:
    seconds, chunks = (1.0, 60) if quick else (2.5, 200)
    phases = {
        "direct_c1": lambda: requests(UPSTREAM, None, 1, seconds),
        "c1": lambda: requests(GATEWAY, pid, 1, seconds),
        "c8": lambda: requests(GATEWAY, pid, 8, seconds),
        "c64": lambda: requests(GATEWAY, pid, 64, seconds),
        "direct_streams256": lambda: streams(UPSTREAM, None, 256, chunks),
        "streams64": lambda: streams(GATEWAY, pid, 64, chunks),
        "streams256": lambda: streams(GATEWAY, pid, 256, chunks),
        "streams1024": lambda: streams(GATEWAY, pid, 1024, chunks // 2),
    }
    runs: dict[str, list[dict[str, Any]]] = {}
    requests(GATEWAY, pid, 8, 1.0)  # warm up
    for turn in range(repetitions):
        for name, phase in phases.items():
            print(f"  {turn + 1}/{repetitions} {name} …", file=sys.stderr, flush=True)
            runs.setdefault(name, []).append(phase())
    return runs


def middle(runs: list[dict[str, Any]], *path: str) -> float:
    values = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value[key]
        values.append(float(value))
    return statistics.median(values)


def table(runs: dict[str, list[dict[str, Any]]], start_s: float) -> str:
    added_ms = (middle(runs["c1"], "latency_us", "p50") - middle(runs["direct_c1"], "latency_us", "p50")) / 1e3
    transit = {
        name: middle(runs[name], "transit_us", "p99") / 1e3
        for name in ("direct_streams256", "streams256", "streams1024")
    }
    errors = sum(run["errors"] for found in runs.values() for run in found)
    rows = [
        ("CPU a request, 8 connections", f"{middle(runs['c8'], 'gw_cpu_us_per_req'):.0f} µs"),
        ("CPU a request, 64 connections", f"{middle(runs['c64'], 'gw_cpu_us_per_req'):.0f} µs"),
        ("latency added, 1 connection, p50", f"{added_ms:.2f} ms"),
        ("CPU a chunk, 64 streams", f"{middle(runs['streams64'], 'gw_cpu_us_per_chunk'):.1f} µs"),
        ("CPU a chunk, 256 streams", f"{middle(runs['streams256'], 'gw_cpu_us_per_chunk'):.1f} µs"),
        ("CPU a chunk, 1,024 streams", f"{middle(runs['streams1024'], 'gw_cpu_us_per_chunk'):.1f} µs"),
        ("added per token, 256 streams, p99", f"{transit['streams256'] - transit['direct_streams256']:.2f} ms"),
        ("first token, 1,024 streams, p99", f"{middle(runs['streams1024'], 'ttft_us', 'p99') / 1e3:.0f} ms"),
        ("start to ready", f"{start_s:.1f} s"),
        ("errors", str(errors)),
    ]
    return "\n".join(["| figure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter phases, once")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "gateway.json")
    options = parser.parse_args()
    upstream = pinned(LOAD_CPU, sys.executable, str(HERE / "upstream.py"))
    upstream += ["--listen", "9001:fake-model", "--listen", "9002:fake-model-b"]
    gateway = pinned(GATEWAY_CPU, sys.executable, "-m", "app", "serve", "--config", str(HERE / "gateway.yaml"))
    with (
        running("upstream", upstream, UPSTREAM + "/health"),
        running("gateway", gateway, GATEWAY + "/health/ready") as (process, start_s),
    ):
        runs = measure(process.pid, 1 if options.quick else options.repetitions, options.quick)
    text = table(runs, start_s)
    packages = ("uvicorn", "uvloop", "httptools", "msgspec", "fastapi")
    facts = {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "versions": {name: version(name) for name in packages},
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"facts": facts, "start_s": start_s, "runs": runs}, indent=1))
    print(text)
    print(f"\nAll figures: {options.output}")


if __name__ == "__main__":
    main()
