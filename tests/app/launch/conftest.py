"""Fixtures for the supervisor's tests: fake children, model directories, a console that remembers."""

import io
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from app.launch.console import Console
from app.launch.process import ChildSpec

FAKE = Path(__file__).with_name("fake_server.py")


@pytest.fixture
def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def child(tmp_path: Path, free_port: int) -> Callable[..., ChildSpec]:
    """A ChildSpec for a fake with the given behaviour; its file is tmp_path/file."""

    def make(behaviour: str, grace_s: float = 5.0) -> ChildSpec:
        url = f"http://127.0.0.1:{free_port}/health"
        command = (sys.executable, "-S", str(FAKE), str(free_port), behaviour, str(tmp_path / "file"))
        return ChildSpec("fake", command, tmp_path / "fake.log", url, url, grace_s=grace_s)

    return make


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(printed: io.StringIO) -> Console:
    return Console(printed)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as opened:
        yield opened


@pytest.fixture
def model_dir(tmp_path: Path) -> Callable[..., Path]:
    """Make a directory that looks like a model."""

    def make(name: str = "instruct", *, template: str = "", **config: object) -> Path:
        path = tmp_path / "models" / name
        path.mkdir(parents=True)
        defaults = {"model_type": "qwen3", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        (path / "config.json").write_text(json.dumps({**defaults, "head_dim": 32, **config}))
        (path / "model.safetensors").write_bytes(b"\0" * 1000)
        (path / "chat_template.jinja").write_text(template)
        return path

    return make


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def tree_pids(path: Path) -> list[int]:
    """The pids that the fake `tree` wrote down, once it has."""
    assert wait_until(lambda: path.exists() and len(path.read_text().split()) == 3)
    pids = [int(pid) for pid in path.read_text().split()]
    assert os.getpid() not in pids
    return pids
