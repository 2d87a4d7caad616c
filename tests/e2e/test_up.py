"""`thinkgate up` with the embedded pair: two real vLLM servers and the gateway as one command."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from app.launch.first_requests import EASY_AND_HARD

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "deploy" / "engine"
PATIENCE_S = 420  # a cold start takes 35 s on idle cores and minutes on busy ones


@dataclass
class Running:
    """The command under test and all that it has printed."""

    process: "subprocess.Popen[bytes]"
    output: Path
    directory: Path

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, count: int = 1) -> None:
        """Until it was printed; fails with the whole output where the command ends or takes too long."""
        assert wait_until(lambda: self.text().count(text) >= count or self.process.poll() is not None, PATIENCE_S), (
            f"{text!r} was not printed in {PATIENCE_S} s:\n{self.text()}"
        )
        assert self.text().count(text) >= count, f"it ended before it printed {text!r}:\n{self.text()}"

    @property
    def config(self) -> dict[str, dict[str, dict[str, list[str]]]]:
        loaded: dict[str, dict[str, dict[str, list[str]]]] = yaml.safe_load(
            (self.directory / "gateway.yaml").read_text()
        )
        return loaded

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.config['server']['port']}"

    def engine_url(self, pool: str) -> str:
        return self.config["pools"][pool]["replicas"][0]

    def tree(self) -> dict[int, str]:
        """pid → command line of every process that it has started, all the way down."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, parent = stat.read_text().rsplit(")", 1)[1].split()[:2]
            except OSError:
                continue
            if state != "Z":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
        found: dict[int, str] = {}
        new = [self.process.pid]
        while new:
            new = [child for parent in new for child in children.get(parent, [])]
            found |= {pid: command_line(pid) for pid in new}
        return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("up")
    output = directory / "output.txt"
    command = [
        *(sys.executable, "-m", "app", "up", "--port", "0", "--log-dir", str(directory), "--cpu"),
        *("--instruct", str(ENGINE / "instruct"), "--thinking", str(ENGINE / "thinking")),
        *("--judge-weights", str(ENGINE / "judge"), "--startup-timeout", str(PATIENCE_S), "--first-requests"),
    ]
    with output.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)
    running = Running(process, output, directory)
    try:
        running.wait_for("ThinkGate is ready")  # here, so that a failed start is one error and not six
        yield running
    finally:
        left = running.tree()
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)
        for pid in left:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def ask(up: Running, model: str) -> httpx.Response:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "8*8+3*2从左往右算，最后一位是几？"}],
        "max_tokens": 16,
    }
    return httpx.post(f"{up.url}/v1/chat/completions", json=body, timeout=120, trust_env=False)


def test_it_comes_up_and_shows_where_the_first_requests_went(up: Running) -> None:
    up.wait_for("\n→ ", count=2)
    text = up.text()
    assert "importing vLLM" in text, "a start of more than two seconds shows its progress"
    assert "→ error" not in text
    assert "→ no answer" not in text
    easy, hard = EASY_AND_HARD
    assert re.search(rf"“{re.escape(easy)}”\n(  .*\n)*→ instruct by instruct, ", text)
    assert re.search(rf"“{re.escape(hard)}”\n(  .*\n)*→ thinking by thinking, ", text)
    assert f"{up.url}/v1" in text
    assert str(up.directory / "thinking.log") in text


def test_both_modes_are_answered_by_their_engine(up: Running) -> None:
    for mode in ("instruct", "thinking"):
        answer = ask(up, f"auto-{mode}")
        assert answer.status_code == 200
        assert answer.headers["x-thinkgate-mode"] == mode
        assert answer.json()["model"] == mode
    routed = ask(up, "auto")
    assert routed.json()["model"] == routed.headers["x-thinkgate-mode"]


def test_the_thinking_engine_separates_its_thoughts(up: Running) -> None:
    message = ask(up, "auto-thinking").json()["choices"][0]["message"]
    assert message["reasoning"]
    assert "<think>" not in (message["content"] or "")


def test_engines_are_reachable_from_this_machine_only(up: Running) -> None:
    for pid, command in up.tree().items():
        if "--served-model-name" in command and "leash" not in command:
            assert "--host=127.0.0.1" in command, pid


def test_a_killed_engine_is_reported_started_again_and_serves(up: Running) -> None:
    before = up.tree()
    port = up.engine_url("deep").rsplit(":", 1)[1]
    (server,) = [pid for pid, text in before.items() if f"--port={port}" in text and "leash.py" not in text]
    os.kill(server, signal.SIGKILL)
    up.wait_for("thinking: was killed by SIGKILL")
    up.wait_for("thinking: starting it again in 1 s")
    assert "Last lines of" in up.text()
    assert ask(up, "auto-instruct").status_code == 200, "the other engine serves on"
    up.wait_for("thinking: ready again after")
    engine_cores = [pid for pid, text in before.items() if "VLLM::" in text]
    assert sum(is_alive(pid) for pid in engine_cores) == len(engine_cores) // 2, "the killed server's core is gone"
    assert wait_until(lambda: ask(up, "auto-thinking").headers.get("x-thinkgate-mode") == "thinking", 60)
    assert wait_until(lambda: ask(up, "auto-thinking").json().get("model") == "thinking", 60)


def test_one_interrupt_stops_everything_and_leaves_nothing(up: Running) -> None:
    pids = up.tree()
    assert len(pids) >= 8, "three leashes, two servers with a core each, the gateway"
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=40) == 0
    left = {pid: text for pid, text in pids.items() if is_alive(pid)}
    assert not left
    assert "Stopped after" in up.text()
