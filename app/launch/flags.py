"""How vLLM is started for each kind of model, role and device: tables, and the one function that reads them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.launch.devices import Placement
from app.launch.model import Model

MIB = 1 << 20
SMALL_WEIGHTS = 1 << 30  # below: float32 costs no memory worth saving, and is the CPU's fastest type
TINY_WEIGHTS = 64 * MIB  # below: a second OpenMP thread costs more in waiting than it computes


class Role(StrEnum):
    """What a model is for; also the name of its pool and of its log."""

    INSTRUCT = "instruct"
    THINKING = "thinking"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """Flags that follow from who made the model. `route` is the gateway's family for it (router/families.yaml)."""

    name: str
    pattern: re.Pattern[str]  # matched against "model_type name"
    reasoning: Mapping[Role, str]
    tools: str | None
    route: Mapping[Role, str]
    generation_config: str | None


# deepseek_r1 for Thinking-only models is the model card's choice: their template opens the think block, so only
# </think> is in the output. With the qwen3 parser there, `enable_thinking: false` makes raw thoughts leak into content.
_QWEN_REASONING = {Role.THINKING: "deepseek_r1", Role.HYBRID: "qwen3"}
_QWEN_ROUTES = {Role.INSTRUCT: "qwen3-2507", Role.THINKING: "qwen3-2507", Role.HYBRID: "qwen3-hybrid"}
_OTHER_ROUTES = {Role.INSTRUCT: "generic-pair", Role.THINKING: "generic-pair", Role.HYBRID: "qwen3-hybrid"}


def _hybrid(route: str) -> dict[Role, str]:
    return {**_OTHER_ROUTES, Role.HYBRID: route}


def _reasoning(parser: str) -> dict[Role, str]:
    return {Role.THINKING: parser, Role.HYBRID: parser}


# `--generation-config vllm`: the gateway knows these models' recommended sampling per mode and fills in what the client
# left out. vLLM would otherwise fill in too, from the model's generation_config.json: the same values twice for a pair,
# the thinking ones for both modes of a hybrid, and a hidden cap on the answer where the file has max_new_tokens.
# Stop tokens are read from that file either way. For models that the gateway does not know, vLLM's own way is kept.
_GATEWAY_SAMPLES = "vllm"

FAMILIES = (
    # KAT-V1 is a Qwen by its model type; its own tags are read by the gateway, so no parser of vLLM's may cut them up.
    ModelFamily("kat-v1", re.compile(r"\bkat(-v1|\b)", re.I), {}, "hermes", _hybrid("kat-v1"), None),
    # Before Qwen3, since some distillations are Qwens.
    ModelFamily(
        "deepseek-r1",
        re.compile(r"deepseek-?r1", re.I),
        _reasoning("deepseek_r1"),
        None,
        {**_OTHER_ROUTES, Role.THINKING: "deepseek-r1"},
        None,
    ),
    ModelFamily(
        "qwen3.5",
        re.compile(r"qwen3_5|qwen-?3\.[5-9]", re.I),
        _QWEN_REASONING,
        "qwen3_coder",
        {**_QWEN_ROUTES, Role.HYBRID: "qwen3.5"},
        None,
    ),
    ModelFamily(
        "qwen3-coder",
        re.compile(r"qwen-?3[\w.-]*coder", re.I),
        _QWEN_REASONING,
        "qwen3_coder",
        _QWEN_ROUTES,
        _GATEWAY_SAMPLES,
    ),
    ModelFamily("qwen3", re.compile(r"qwen-?3", re.I), _QWEN_REASONING, "hermes", _QWEN_ROUTES, _GATEWAY_SAMPLES),
    ModelFamily(
        "deepseek-v3.1",
        re.compile(r"deepseek-?v3\.1", re.I),
        _reasoning("deepseek_v3"),
        "deepseek_v31",
        _hybrid("deepseek-v3.1"),
        None,
    ),
    ModelFamily(
        "glm-4.5", re.compile(r"glm4_moe|glm-?4\.[5-9]", re.I), _reasoning("glm45"), "glm45", _hybrid("glm-4.5"), None
    ),
    ModelFamily(
        "gpt-oss", re.compile(r"gpt[-_]oss", re.I), _reasoning("openai_gptoss"), "openai", _hybrid("gpt-oss"), None
    ),
    ModelFamily(
        "granite", re.compile(r"granite-?3\.[23]", re.I), _reasoning("granite"), "granite", _hybrid("granite"), None
    ),
    ModelFamily(
        "hunyuan", re.compile(r"hunyuan", re.I), _reasoning("hunyuan_a13b"), "hunyuan_a13b", _hybrid("hunyuan"), None
    ),
    ModelFamily(
        "hunyuan-3", re.compile(r"\bhy_?v?3\b", re.I), _reasoning("hy_v3"), "hy_v3", _hybrid("hunyuan-3"), None
    ),
    ModelFamily(
        "nemotron-2",
        re.compile(r"nemotron-nano-[\w-]*v2", re.I),
        _reasoning("deepseek_r1"),
        None,
        _hybrid("nemotron-2"),
        None,
    ),
    ModelFamily(
        "nemotron",
        re.compile(r"nemotron-?3", re.I),
        _reasoning("nemotron_v3"),
        "qwen3_coder",
        _hybrid("nemotron"),
        None,
    ),
    ModelFamily(
        "other",
        re.compile(""),
        {Role.THINKING: "deepseek_r1", Role.HYBRID: "qwen3"},
        None,
        _OTHER_ROUTES,
        None,
    ),
)

CPU_ENV = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # both engines would otherwise bind to the same first cores
    "TORCHDYNAMO_DISABLE": "1",
}
QUIET_ENV = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONSAFEPATH": "1"}
# A local directory needs no hub, and a machine without network would wait for it.
OFFLINE_ENV = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def family_of(model: Model) -> ModelFamily:
    """The first family whose pattern is found in the model's type or name."""
    described = f"{model.kind} {model.name}"
    return next(family for family in FAMILIES if family.pattern.search(described))


def vllm_flags(
    model: Model,
    role: Role,
    placement: Placement,
    port: int,
    served_name: str,
    *,
    max_model_len: str | None = None,
    extra: Sequence[str] = (),
) -> list[str]:
    """vLLM's command line after the model's name; what the user gives in `extra` replaces ours."""
    family = family_of(model)
    flags = ["--host=127.0.0.1", f"--port={port}", f"--served-model-name={served_name}"]
    if family.generation_config:
        flags.append(f"--generation-config={family.generation_config}")
    if role in family.reasoning:
        flags.append(f"--reasoning-parser={family.reasoning[role]}")
    if family.tools:
        flags += ["--enable-auto-tool-choice", f"--tool-call-parser={family.tools}"]
    # cached_tokens in the usage shows what a session's prefix saved; the log is for faults, not for requests.
    flags += ["--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]
    if max_model_len:
        flags.append(f"--max-model-len={max_model_len}")
    flags += _gpu_flags(placement) if placement.gpus else _cpu_flags(model)
    given = {option_name(argument) for argument in extra if argument.startswith("--")}
    return [flag for flag in flags if option_name(flag) not in given] + list(extra)


def _gpu_flags(placement: Placement) -> list[str]:
    flags = [f"--gpu-memory-utilization={placement.memory_share:g}"]
    if placement.tensor_parallel > 1:
        flags.append(f"--tensor-parallel-size={placement.tensor_parallel}")
    return flags


def _cpu_flags(model: Model) -> list[str]:
    small = model.weight_bytes is not None and model.weight_bytes < SMALL_WEIGHTS
    per_token = model.kv_bytes_per_token(4 if small else 2)
    # Four conversations of 8k tokens; vLLM's own default is gigabytes, taken by each of the two engines.
    cache = min(max(64 * MIB, (per_token or 0) * 4 * 8192), 4096 * MIB) if per_token else 2048 * MIB
    flags = ["--enforce-eager", "--max-num-seqs=16", f"--kv-cache-memory-bytes={cache // MIB}M"]
    return [*flags, "--dtype=float32"] if small else flags


def engine_environment(model: Model, placement: Placement, base: Mapping[str, str]) -> dict[str, str]:
    """Variables to add to `base`; what the user has set there already is kept."""
    added = dict(QUIET_ENV)
    if model.local:
        added |= OFFLINE_ENV
    if placement.gpus:
        # By UUID: indices mean something else once CUDA_VISIBLE_DEVICES was set by the user.
        return _unset(added, base) | {"CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in placement.gpus)}
    tiny = model.weight_bytes is not None and model.weight_bytes < TINY_WEIGHTS
    added |= CPU_ENV | {"OMP_NUM_THREADS": "1" if tiny else str(placement.threads)}
    return _unset(added, base)


def _unset(added: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in added.items() if name not in base}


def option_name(argument: str) -> str:
    """`--max_model_len=8` and `--max-model-len` are one option to vLLM."""
    return argument.split("=", 1)[0].replace("_", "-")


def option_value(arguments: Sequence[str], option: str) -> str | None:
    """The last value given for an option, as `--option=value` or `--option value`."""
    value = None
    for position, argument in enumerate(arguments):
        if argument.startswith("--") and option_name(argument) == option:
            if "=" in argument:
                value = argument.split("=", 1)[1]
            elif position + 1 < len(arguments):
                value = arguments[position + 1]
    return value


def split_argument(argument: str) -> list[str]:
    """`"--max-num-seqs 4"` in one pair of quotes is what people write; JSON values keep their spaces."""
    option, space, value = argument.partition(" ")
    if option.startswith("--") and space and "=" not in option:
        return [option, value.strip()]
    return [argument]


def masked(arguments: Sequence[str]) -> list[str]:
    """A command line fit for a log: the values of keys and tokens are left out."""
    shown: list[str] = []
    hide = False
    for argument in arguments:
        secret = option_name(argument) in ("--api-key", "--hf-token")
        if hide:
            shown.append("…")
        else:
            shown.append(f"{option_name(argument)}=…" if secret and "=" in argument else argument)
        hide = secret and "=" not in argument
    return shown
