"""Ray: the gateway as its ingress and bulk scoring, on a real local cluster; the configurations by Ray's own schema."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config_file import parse_settings
from tests.deploy.tools import ROOT, output

RAY = ROOT / ".venv-ray/bin/python"
DEPLOY = ROOT / "deploy/ray"
VALIDATE = (
    "import sys, yaml; from ray.serve.schema import ServeDeploySchema as S; S.model_validate(yaml.safe_load(sys.stdin))"
)
APART = ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
"""A network and processes of their own: Ray binds every address, and leaves processes behind when it is killed."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not pytest's own: Ray's sockets want short paths."""
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        yield Path(name)


def apart(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    environment |= {"RAY_TMPDIR": str(folder), "RAY_NODE_IP_ADDRESS": "127.0.0.1"}
    return subprocess.run(
        [*APART, *command], capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=600
    )


@pytest.fixture(scope="module")
def session(folder: Path) -> dict[str, Any]:
    """What a client of the ingress saw; see ray_session.py."""
    backend = f"FAKE_DELAY_MS=100 {sys.executable} tests/bench/upstream.py --listen 9001:fake-model >/dev/null 2>&1 & "
    done = apart(folder, "sh", "-c", f"{backend} exec {RAY} tests/deploy/ray_session.py {folder}")
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_ingress_answers_with_the_gateways_decision(session: dict[str, Any]) -> None:
    assert session["head"].startswith("HTTP/1.1 200")
    assert "x-thinkgate-mode: instruct" in session["head"]


def test_a_stream_comes_through_the_ingress_in_pieces(session: dict[str, Any]) -> None:
    came, text = session["stream"]["came"], session["stream"]["text"]
    assert text.count("data: ") == 13, text  # role, ten words, the end, [DONE]
    assert len({round(at, 1) for at in came}) >= 5  # ten words, a tenth of a second apart
    assert came[-1] - came[0] > 0.5


def test_a_client_that_leaves_the_ingress_ends_the_backends_work(session: dict[str, Any]) -> None:
    assert session["left"]["before"] == 0
    assert session["left"]["seconds"] is not None
    assert session["left"]["seconds"] < 5


def test_scores_by_ray_are_those_of_one_process(tmp_path: Path, folder: Path) -> None:
    rows = [json.dumps({"id": i, "prompt": "Prove that x " * (i % 40 + 1)}) for i in range(40_000)]
    rows[17] = "not json"
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(rows) + "\n", "utf-8")
    assert source.stat().st_size > 2 * 4 * 2**20  # several parts
    command = (str(RAY), "-m", "app", "judge", "score", "--input", str(source), "--output")
    alone = subprocess.run([*command, str(tmp_path / "a")], capture_output=True, text=True, check=False, cwd=ROOT)
    by_ray = apart(folder, *command, str(tmp_path / "b"), "--ray")
    assert (alone.returncode, by_ray.returncode) == (1, 1), by_ray.stderr[-4000:]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "rows.jsonl:18: not JSON" in by_ray.stderr


@pytest.mark.parametrize("name", ["engines", "qwen-instruct", "qwen-thinking"])
def test_the_engines_configurations_are_ray_serves(name: str) -> None:
    served = {
        one["metadata"]["name"]: one["spec"]["serveConfigV2"]
        for one in yaml.safe_load_all((DEPLOY / "rayservice.yaml").read_text("utf-8"))
    }
    text = (DEPLOY / "engines.yaml").read_text("utf-8") if name == "engines" else served[name]
    output(str(RAY), "-c", VALIDATE, input=text)
    models = {
        config["model_loading_config"]["model_id"]
        for application in yaml.safe_load(text)["applications"]
        for config in application["args"]["llm_configs"]
    }
    gateway = yaml.safe_load((DEPLOY / "gateway.yaml").read_text("utf-8"))
    settings = parse_settings(gateway, {"THINKGATE_KEY": "k"})
    assert models <= {pool.model for pool in settings.pools.values()}
    assert {pool.health_path for pool in settings.pools.values()} == {"/-/healthz"}
