"""Processes on cores of their own: the fake vLLM, a gateway, the load. Knows no gateway by name.

Load and fake vLLM share the first of two cores, the gateway has the other (`LOAD_CPU`, `GATEWAY_CPU`).
"""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.bench.load import tree
from tests.bench.machine import ROOT

HERE = Path(__file__).parent
LOAD_CPU, GATEWAY_CPU = os.environ.get("LOAD_CPU", "0"), os.environ.get("GATEWAY_CPU", "1")
KEY = "bench-key"
LOGS = Path(os.environ.get("TMPDIR", "/tmp"))
START_LIMIT_S = 420.0  # LiteLLM takes seven seconds alone, and minutes on a busy machine, as vLLM does


def allow_many_files() -> None:
    """Thousands of streams need thousands of descriptors, here and in what is started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def pinned(cpu: str, *command: str) -> list[str]:
    """The command on one core (or several: `0,1`)."""
    return ["taskset", "-c", cpu, *command]


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], ready_url: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[int, float]]:
    """The process's id, and the seconds until it was ready. Afterwards it and its descendants are ended, by id."""
    log = LOGS / f"thinkgate-bench-{os.getpid()}-{name}.log"
    started = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env={**os.environ, **(environment or {})}
        )
    try:
        while not _answers(ready_url):
            if process.poll() is not None or time.monotonic() - started > START_LIMIT_S:
                raise RuntimeError(f"{name} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield process.pid, time.monotonic() - started
    finally:
        _end(process)
        log.unlink(missing_ok=True)


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, wait_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        if process.poll() is not None:
            return
        for pid in tree(process.pid) if number == signal.SIGKILL else [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A fake vLLM that runs: two models on two ports, one process."""

    ports: tuple[int, int]

    @property
    def url(self) -> str:
        """Of the first model, for loads that go past the gateways."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def control(self, **settings: float | str) -> None:
        """Set how it answers: `delay_ms` between chunks, `ttft_ms`, `lat_ms`."""
        httpx.get(f"{self.url}/__ctl", params=settings, trust_env=False, timeout=10)

    def drain(self, limit_s: float = 15.0) -> None:
        """Wait until no stream is left of a load that was cut off."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if httpx.get(f"{self.url}/__stats", trust_env=False, timeout=10).json()["running"] == 0:
                return
            time.sleep(0.2)


@contextlib.contextmanager
def upstream(cpu: str = LOAD_CPU) -> Iterator[Upstream]:
    """Start the fake vLLM."""
    ports = (free_port(), free_port())
    command = pinned(cpu, sys.executable, str(HERE / "upstream.py"))
    command += ["--listen", f"{ports[0]}:fake-model", "--listen", f"{ports[1]}:fake-model-b"]
    with running("upstream", command, f"http://127.0.0.1:{ports[0]}/health"):
        yield Upstream(ports)


def load(kind: str, url: str, model: str, pid: int | None, *options: object, cpu: str = LOAD_CPU) -> dict[str, Any]:
    """Run load.py; its figures. `pid` is the gateway's, whose CPU time and memory are then among them."""
    command = [sys.executable, str(HERE / "load.py"), kind, "--url", url, "--model", model, "--key", KEY]
    if pid is not None:
        command += ["--pid", str(pid)]
    command += map(str, options)
    done = subprocess.run(pinned(cpu, *command), capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise RuntimeError(f"load.py failed:\n{done.stderr[-2000:]}")
    if done.stderr:
        print(done.stderr[-400:], file=sys.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
