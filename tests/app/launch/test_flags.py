"""The right flags for the family, the role and the device."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.launch.devices import Gpu, Placement
from app.launch.flags import (
    FAMILIES,
    Role,
    engine_environment,
    family_of,
    masked,
    option_value,
    split_argument,
    vllm_flags,
)
from app.launch.model import Model, find_model
from router.family import load_families

CPU = Placement(threads=8)
GPU = Placement((Gpu("0", "GPU-a", "H100", 80_000, 0),), 0.45)


def hub(name: str) -> Model:
    return Model(source=name, local=False, name=name)


def flags(model: Model, role: Role, placement: Placement = CPU, extra: tuple[str, ...] = ()) -> list[str]:
    return vllm_flags(model, role, placement, 8101, "served", extra=extra)


def test_thinking_only_models_get_the_parser_of_their_model_card() -> None:
    assert "--reasoning-parser=deepseek_r1" in flags(hub("Qwen/Qwen3-30B-A3B-Thinking-2507"), Role.THINKING)


def test_hybrids_get_the_qwen3_parser() -> None:
    assert "--reasoning-parser=qwen3" in flags(hub("Qwen/Qwen3-8B"), Role.HYBRID)


def test_instruct_models_get_no_reasoning_parser() -> None:
    assert not any("reasoning" in flag for flag in flags(hub("Qwen/Qwen3-30B-A3B-Instruct-2507"), Role.INSTRUCT))


@pytest.mark.parametrize(
    ("name", "parser"),
    [
        ("Qwen/Qwen3-8B", "hermes"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder"),
        ("Qwen/Qwen3.5-9B", "qwen3_coder"),
    ],
)
def test_tools_are_on_with_the_family_s_parser(name: str, parser: str) -> None:
    given = flags(hub(name), Role.HYBRID)
    assert f"--tool-call-parser={parser}" in given
    assert "--enable-auto-tool-choice" in given


def test_sampling_is_the_gateway_s_for_families_that_it_knows_and_vllm_s_for_others() -> None:
    assert "--generation-config=vllm" in flags(hub("Qwen/Qwen3-8B"), Role.HYBRID)
    assert not any("generation-config" in flag for flag in flags(hub("acme/large"), Role.INSTRUCT))
    assert family_of(hub("acme/large")).route[Role.INSTRUCT] == "generic-pair"


@pytest.mark.parametrize(
    ("name", "parser", "route"),
    [
        ("Qwen/Qwen3-8B", "qwen3", "qwen3-hybrid"),
        ("Qwen/Qwen3.5-9B", "qwen3", "qwen3.5"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v3", "deepseek-v3.1"),
        ("zai-org/GLM-4.6", "glm45", "glm-4.5"),
        ("openai/gpt-oss-20b", "openai_gptoss", "gpt-oss"),
        ("ibm-granite/granite-3.3-8b-instruct", "granite", "granite"),
        ("tencent/Hunyuan-A13B-Instruct", "hunyuan_a13b", "hunyuan"),
        ("tencent/Hy3", "hy_v3", "hunyuan-3"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "nemotron_v3", "nemotron"),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", "deepseek_r1", "nemotron-2"),
        ("Kwaipilot/KAT-V1-40B", None, "kat-v1"),
    ],
)
def test_a_model_that_does_both_gets_its_parser_and_the_gateway_its_family(
    name: str, parser: str | None, route: str
) -> None:
    given = flags(hub(name), Role.HYBRID)
    found = [flag for flag in given if flag.startswith("--reasoning-parser")]
    assert found == ([] if parser is None else [f"--reasoning-parser={parser}"])
    assert family_of(hub(name)).route[Role.HYBRID] == route
    assert route in load_families()


def test_every_route_that_a_model_can_get_is_a_family() -> None:
    known = load_families()
    assert all(route in known for family in FAMILIES for route in family.route.values())


def test_a_distillation_of_r1_is_no_qwen_whatever_it_was_distilled_into() -> None:
    assert family_of(hub("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B")).route[Role.THINKING] == "deepseek-r1"


def test_the_type_in_config_json_decides_where_the_name_says_nothing(model_dir: Callable[..., Path]) -> None:
    assert family_of(find_model(str(model_dir("mine", model_type="qwen3_moe")))).name == "qwen3"
    assert family_of(find_model(str(model_dir("other", model_type="llama")))).name == "other"


def test_a_small_model_on_the_cpu(model_dir: Callable[..., Path]) -> None:
    given = flags(find_model(str(model_dir())), Role.INSTRUCT)
    assert {"--dtype=float32", "--enforce-eager", "--kv-cache-memory-bytes=64M"} <= set(given)
    assert not any("gpu" in flag for flag in given)


def test_a_large_model_on_the_cpu_keeps_its_type() -> None:
    given = flags(hub("Qwen/Qwen3-8B"), Role.HYBRID)
    assert "--kv-cache-memory-bytes=2048M" in given
    assert not any("dtype" in flag for flag in given)


def test_a_gpu_is_shared_by_memory() -> None:
    given = flags(hub("Qwen/Qwen3-8B"), Role.HYBRID, GPU)
    assert "--gpu-memory-utilization=0.45" in given
    assert not any("enforce-eager" in flag or "kv-cache" in flag or "tensor" in flag for flag in given)
    pair = Placement((*GPU.gpus, Gpu("1", "GPU-b", "H100", 80_000, 0)), 0.9)
    assert "--tensor-parallel-size=2" in flags(hub("Qwen/Qwen3-8B"), Role.HYBRID, pair)


def test_what_the_user_gives_replaces_ours() -> None:
    given = flags(hub("Qwen/Qwen3-8B"), Role.HYBRID, extra=("--reasoning_parser", "glm45", "--max-num-seqs=4"))
    assert not any("qwen3" in flag for flag in given)
    assert "--max-num-seqs=16" not in given
    assert given[-3:] == ["--reasoning_parser", "glm45", "--max-num-seqs=4"]


def test_engines_listen_on_this_machine_only() -> None:
    assert "--host=127.0.0.1" in flags(hub("Qwen/Qwen3-8B"), Role.HYBRID)


def test_local_models_need_no_network_and_hub_models_do(model_dir: Callable[..., Path]) -> None:
    assert engine_environment(find_model(str(model_dir())), CPU, {})["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in engine_environment(hub("Qwen/Qwen3-8B"), CPU, {})


def test_threads_are_the_engine_s_share_but_one_for_tiny_models(model_dir: Callable[..., Path]) -> None:
    assert engine_environment(find_model(str(model_dir())), CPU, {})["OMP_NUM_THREADS"] == "1"
    large = engine_environment(hub("Qwen/Qwen3-8B"), CPU, {})
    assert (large["OMP_NUM_THREADS"], large["VLLM_CPU_OMP_THREADS_BIND"]) == ("8", "nobind")


def test_the_user_s_environment_is_kept() -> None:
    assert "OMP_NUM_THREADS" not in engine_environment(hub("x"), CPU, {"OMP_NUM_THREADS": "3"})


def test_gpus_are_named_by_uuid_whatever_was_visible_before() -> None:
    env = engine_environment(hub("x"), GPU, {"CUDA_VISIBLE_DEVICES": "3"})
    assert env["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    assert "TORCHDYNAMO_DISABLE" not in env


def test_option_values_are_found_in_both_spellings() -> None:
    assert option_value(["--port=1", "--port", "2"], "--port") == "2"
    assert option_value(["--served_model_name=x"], "--served-model-name") == "x"
    assert option_value(["--port"], "--port") is None


def test_an_option_and_its_value_may_share_quotes_and_json_keeps_its_spaces() -> None:
    assert split_argument("--max-num-seqs 4") == ["--max-num-seqs", "4"]
    assert split_argument('--rope-scaling={"a": 1}') == ['--rope-scaling={"a": 1}']
    assert split_argument("--enforce-eager") == ["--enforce-eager"]


def test_keys_do_not_reach_a_log() -> None:
    assert masked(["--api-key=a", "--api-key", "b", "--port=1"]) == ["--api-key=…", "--api-key", "…", "--port=1"]
