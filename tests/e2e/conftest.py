"""Real vLLM servers with the trained miniature pair, and the real gateway in front, as processes of their own.

Nothing is skipped: where a server does not start, the tests fail with the end of its log.
"""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.engines import CPU_ENVIRONMENT, CPU_FLAGS, VLLM_PYTHON

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "deploy" / "engine"
KEY = "e2e-key"
START_LIMIT_S = 420
ENGINE_ENV = {**CPU_ENVIRONMENT, "VLLM_ENABLE_RESPONSES_API_STORE": "1"}  # responses can be asked for later
ENGINE_FLAGS = (*CPU_FLAGS, "--enable-auto-tool-choice", "--tool-call-parser", "hermes")


def hard_question() -> tuple[str, str]:
    """A question of the miniature's evaluation set that takes many steps, and its answer."""
    spec = importlib.util.spec_from_file_location("miniature_tasks", ENGINE / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    tasks = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tasks  # dataclasses look their module up
    spec.loader.exec_module(tasks)
    question = tasks.generate("eval", "hard", 1, seed=7, kinds=["digit"])[0]
    return question.prompt, question.answer


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Server:
    """A server process in a session of its own, its address, and its log."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def wait_ready(self, path: str, limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                pytest.fail(f"{self.log.name} ended with {self.process.returncode}:\n{self.tail()}")
            try:
                if httpx.get(self.url + path, timeout=2, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.3)
        pytest.fail(f"{self.log.name} was not ready within {limit_s:g} s:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.process.wait(10)


def start(command: list[str], log: Path, url: str, env: dict[str, str] | None = None) -> Server:
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            cwd=ROOT,
        )
    return Server(process, url, log)


def start_engine(
    role: str,
    log_dir: Path,
    name: str | None = None,
    *,
    parser: bool = True,
    flags: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Server:
    """vLLM with one of the miniature models, for thinking with a reasoning `parser` or without; not yet ready."""
    if not VLLM_PYTHON.exists():
        pytest.fail(f"{VLLM_PYTHON} is not there: `make engine` sets up the engine's environment")
    port = free_port()
    command = [
        *(str(VLLM_PYTHON), "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(ENGINE / role), "--host", "127.0.0.1", "--port", str(port)),
        *("--served-model-name", name or f"mini-{role}"),
        *ENGINE_FLAGS,
        *flags,
    ]
    if role == "thinking" and parser:
        command += ["--reasoning-parser", "deepseek_r1"]
    return start(command, log_dir / f"{name or role}.log", f"http://127.0.0.1:{port}", ENGINE_ENV | dict(env or {}))


def start_gateway(config: dict[str, object], log_dir: Path, name: str = "gateway") -> Server:
    """The gateway, ready."""
    port = free_port()
    path = log_dir / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "app", "serve", "--config", str(path), "--port", str(port)]
    server = start(command, log_dir / f"{name}.log", f"http://127.0.0.1:{port}")
    server.wait_ready("/health/ready", 60)
    return server


def running(engine: Server) -> float:
    """Requests that vLLM works on or has waiting, by its own metrics."""
    text = httpx.get(engine.url + "/metrics", timeout=5, trust_env=False).text
    found = re.findall(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} ([0-9.e+]+)", text, re.MULTILINE)
    assert found, "vLLM's metrics have other names than the gateway expects"
    return sum(map(float, found))


def wait_idle(engine: Server, limit_s: float) -> float:
    """Seconds until vLLM has nothing to do; fails after the limit."""
    started = time.monotonic()
    while (n := running(engine)) > 0:
        if time.monotonic() - started > limit_s:
            pytest.fail(f"vLLM still works on {n:g} requests after {limit_s} s")
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.fixture(scope="session")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def engines(log_dir: Path) -> Iterator[dict[str, Server]]:
    """Both models, started side by side."""
    servers = {role: start_engine(role, log_dir) for role in ("instruct", "thinking")}
    try:
        for server in servers.values():
            server.wait_ready("/health", START_LIMIT_S)
        yield servers
    finally:
        for server in servers.values():
            server.stop()


@pytest.fixture(scope="session")
def kat_engine(log_dir: Path) -> Iterator[Server]:
    """The model that judges itself, without a reasoning parser: its text comes with its tags."""
    server = start_engine("kat", log_dir)
    try:
        server.wait_ready("/health", START_LIMIT_S)
        yield server
    finally:
        server.stop()


def config_for(engines: dict[str, Server], **more: object) -> dict[str, object]:
    return {
        "server": {"listeners": 2},
        "auth": {"keys": [{"key": KEY, "profiles": ["*"]}]},
        "pools": {
            "fast": {"model": "mini-instruct", "replicas": [engines["instruct"].url]},
            "deep": {"model": "mini-thinking", "replicas": [engines["thinking"].url]},
        },
        "routes": {
            "auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"},
            "support": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep", "profile": "fast-only"},
        },
        "judge": {"kind": "linear", "path": str(ENGINE / "judge")},
        "profiles": {
            "default": {},
            "fast-only": {"mode": "instruct"},
            "effort-auto": {"effort": {"medium": "auto"}},
            "quiet": {"metadata": "headers"},
        },
        **more,
    }


@pytest.fixture(scope="session")
def gateway(engines: dict[str, Server], log_dir: Path) -> Iterator[Server]:
    server = start_gateway(config_for(engines), log_dir)
    try:
        yield server
    finally:
        assert server.stop() == 0
