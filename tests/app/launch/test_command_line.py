"""The command itself, as a process: fake engines in front of which the real gateway stands."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from app.cli import up
from tests.app.launch.conftest import FAKE, is_alive, tree_pids, wait_until

pytestmark = pytest.mark.timeout(300)  # each starts four processes, on machines that may be busy

_DRIVER = """
import argparse, sys
from app.cli import up
parser = argparse.ArgumentParser()
up.add_parser(parser.add_subparsers(required=True))
args = parser.parse_args()
sys.exit(args.run(args))
"""


@pytest.fixture
def start(
    tmp_path: Path, model_dir: Callable[..., Path]
) -> Iterator[Callable[..., tuple["subprocess.Popen[bytes]", Path, list[int]]]]:
    """Run `up` with a quick fake and a tree that ignores SIGTERM, until ready; (process, output, pids of the tree)."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*options: str) -> tuple["subprocess.Popen[bytes]", Path, list[int]]:
        base = tmp_path / "base.yaml"
        base.write_text("judge: {kind: heuristic}")
        tree = model_dir("tree")
        output = tmp_path / "output"
        command = [
            sys.executable,
            "-P",
            "-c",
            _DRIVER,
            "up",
            "--port",
            "0",
            "--log-dir",
            str(tmp_path / "run"),
            "--cpu",
        ]
        command += ["--instruct", str(model_dir("ready")), "--thinking", str(tree), "--config", str(base)]
        command += ["--vllm", f"{sys.executable} -S {FAKE}", *options]
        decoy = tmp_path / "elsewhere" / "app"
        decoy.mkdir(parents=True)
        (decoy / "__main__.py").write_text("raise SystemExit('this is the app of somebody else')")
        with output.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=decoy.parent)
        started.append(process)
        ready = wait_until(lambda: b"ThinkGate is ready" in output.read_bytes() or process.poll() is not None, 120)
        assert ready, output.read_text()
        assert process.poll() is None, output.read_text()
        return process, output, tree_pids(tree / "file")

    yield run
    for process in started:
        process.kill()
        process.wait(timeout=10)


def gateway_answers(tmp_path: Path) -> bool:
    port = yaml.safe_load((tmp_path / "run" / "gateway.yaml").read_text())["server"]["port"]
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_sigterm_stops_everything_and_a_second_one_at_once(
    start: Callable[..., tuple["subprocess.Popen[bytes]", Path, list[int]]], tmp_path: Path
) -> None:
    process, output, pids = start()
    assert gateway_answers(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert wait_until(lambda: "thinking: stopping" in output.read_text(), 60), "what takes more than 2 s shows progress"
    process.send_signal(signal.SIGTERM)  # the fake tree would take its ten seconds of grace
    assert process.wait(timeout=60) == 130
    assert not any(is_alive(pid) for pid in pids)
    assert not gateway_answers(tmp_path)
    assert "Stopped after" in output.read_text()


def test_nothing_outlives_a_killed_supervisor(
    start: Callable[..., tuple["subprocess.Popen[bytes]", Path, list[int]]], tmp_path: Path
) -> None:
    process, _, pids = start()
    process.kill()
    process.wait(timeout=10)
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids) and not gateway_answers(tmp_path), 60)


def test_a_mistake_is_one_message_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("--instruct", "./nowhere", "--thinking", "./nowhere")() == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("thinkgate up: There is no directory ./nowhere")
    assert printed.out == ""


def test_what_the_gateway_refuses_is_said_before_the_engines_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model_dir: Callable[..., Path]
) -> None:
    weights = tmp_path / "no-weights"
    weights.mkdir()
    options = ["--hybrid", str(model_dir("ready")), "--vllm", f"{sys.executable} {FAKE}", "--cpu", "--port", "0"]
    status = parsed(*options, "--log-dir", str(tmp_path / "run"), "--judge-weights", str(weights))()
    assert status == 1
    assert str(weights) in capsys.readouterr().err
    assert not (tmp_path / "run" / "hybrid.log").exists()


@pytest.mark.parametrize(
    "options", [["--port", "70000"], ["--gpu-memory-share", "45"], ["--startup-timeout", "0"], ["--device", "tpu"]]
)
def test_values_out_of_range_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--hybrid", "x", *options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


def parsed(*options: str) -> Callable[[], int]:
    parser = argparse.ArgumentParser()
    up.add_parser(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["up", *options])
    return lambda: int(arguments.run(arguments))
