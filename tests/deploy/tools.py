"""Tools that the checks run. A missing one is an error, never a skip; `tests/deploy/tools.sh` installs them."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-deploy/bin"


def tool(name: str) -> str:
    """Path of a tool."""
    for found in (TOOLS / name, shutil.which(name)):
        if found and Path(found).exists():
            return str(found)
    raise FileNotFoundError(f"{name} is not installed: run tests/deploy/tools.sh (make deploy-test does)")


def output(*command: str, **options: object) -> str:
    """What a command prints; its status must be 0."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, check: Callable[[], bool], limit_s: float = 60) -> None:
    """Until `check` holds; fails after a time that allows for a busy machine."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            if check():
                return
        except (OSError, httpx.TransportError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {limit_s} s")
