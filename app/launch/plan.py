"""From what the user asked for to what will run, with every check that can be made before. Starts nothing."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.launch import gateway
from app.launch.console import short_path
from app.launch.devices import Gpu, Placement, find_gpus, place
from app.launch.errors import LaunchError
from app.launch.flags import Role, engine_environment, family_of, option_value, split_argument, vllm_flags
from app.launch.gateway import Backend
from app.launch.model import Model, find_model
from app.launch.ports import Reservation, gateway_port, reserve_port
from app.launch.process import ChildSpec
from app.launch.runtime import Runtime, find_runtime
from app.settings import Settings

_SLOW_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `thinkgate up`."""

    instruct: str | None = None
    thinking: str | None = None
    hybrid: str | None = None
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by role; "" for all
    vllm_python: str | None = None
    vllm: str | None = None
    host: str | None = None
    port: int | None = None
    config: Path | None = None
    max_model_len: str | None = None
    gpu_memory_share: float | None = None
    device: str = "auto"
    judge_weights: Path | None = None
    log_dir: Path | None = None

    def models(self) -> dict[Role, str]:
        """What to launch; raises LaunchError unless it is a pair or a hybrid."""
        if self.hybrid and not self.instruct and not self.thinking:
            return {Role.HYBRID: self.hybrid}
        if self.instruct and self.thinking and not self.hybrid:
            return {Role.INSTRUCT: self.instruct, Role.THINKING: self.thinking}
        raise LaunchError(
            "Name a pair, --instruct MODEL --thinking MODEL, or one model that can do both, --hybrid MODEL."
        )


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """One vLLM server to be."""

    role: Role
    model: Model
    placement: Placement
    port: Reservation
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class Plan:
    """All that will run, and what the user should be told about it."""

    runtime: Runtime
    engines: tuple[EnginePlan, ...]
    gateway: ChildSpec
    settings: Settings
    url: str
    config_path: Path
    notes: tuple[str, ...]

    @property
    def one_after_another(self) -> bool:
        """vLLM sizes its cache by the GPU's free memory: two engines measuring one GPU at once disturb each other."""
        gpus = [gpu.uuid for engine in self.engines for gpu in engine.placement.gpus]
        return len(gpus) != len(set(gpus))

    def release(self) -> None:
        """Give the ports back."""
        for engine in self.engines:
            engine.port.release()


def make_plan(options: Options, environ: Mapping[str, str]) -> Plan:
    """Check everything in the order in which it is cheap; raises LaunchError."""
    models = {role: find_model(given) for role, given in options.models().items()}
    base = gateway.read_base(options.config)
    # Once with stand-ins for the engines: a mistake in the file should show before anything else is looked at.
    stand_ins = [Backend(role, role.value, "http://127.0.0.1:1") for role in models]
    family = _route_family(models, base)
    draft = gateway.configure(base, stand_ins, family, host=options.host, port=options.port)
    server = gateway.check(draft, options.config).server
    host, port = server.host, gateway_port(server.host, server.port)
    if options.judge_weights and not options.judge_weights.is_dir():
        raise LaunchError(f"--judge-weights: there is no directory {options.judge_weights}.")
    runtime = find_runtime(options.vllm_python, options.vllm, environ)
    gpus, notes = _choose_device(options.device, runtime, environ)
    notes += _notes(models, gpus, options)
    directory = options.log_dir or Path(".run") / str(port)
    directory = directory.resolve()
    engines: list[EnginePlan] = []
    try:
        for (role, model), placement in zip(
            models.items(), place(len(models), gpus, options.gpu_memory_share), strict=True
        ):
            extra = [w for key in ("", role.value) for a in options.arguments.get(key, ()) for w in split_argument(a)]
            taken = [
                engine.spec.name for engine in engines if _served_name(engine.model, engine.role, []) == model.name
            ]
            name = option_value(extra, "--served-model-name") or _served_name(model, role, taken)
            engines.append(_engine(role, model, placement, name, extra, options, runtime, directory, environ))
        backends = [_backend(engine) for engine in engines]
        config = gateway.configure(
            base,
            backends,
            family,
            host=host,
            port=port,
            judge_weights=options.judge_weights,
        )
        settings = gateway.check(config, options.config)
        _make_directory(directory)
        config_path = directory / "gateway.yaml"
        gateway.write(config, config_path)
    except BaseException:
        for engine in engines:
            engine.port.release()
        raise
    url = gateway.local_url(host, port)
    spec = ChildSpec(
        "gateway",
        # -P: the directory in which the command was given may well have an `app` of its own.
        (sys.executable, "-P", "-m", "app", "serve", "--config", str(config_path)),
        directory / "gateway.log",
        ready_url=f"{url}/health/ready",
        live_url=f"{url}/health/live",
        grace_s=settings.server.drain_timeout_s + 2,
    )
    return Plan(runtime, tuple(engines), spec, settings, url, config_path, tuple(notes))


def _engine(
    role: Role,
    model: Model,
    placement: Placement,
    name: str,
    extra: list[str],
    options: Options,
    runtime: Runtime,
    directory: Path,
    environ: Mapping[str, str],
) -> EnginePlan:
    wanted = option_value(extra, "--port")
    if wanted is not None and not wanted.isdigit():
        raise LaunchError(f"--port={wanted} for the {role} engine is not a port.")
    port = reserve_port(int(wanted) if wanted else None)
    # "auto": the longest context that fits. By default vLLM gives up where the model's own length does not fit.
    length = options.max_model_len or ("auto" if runtime.at_least(0, 14) else None)
    flags = vllm_flags(model, role, placement, port.port, name, max_model_len=length, extra=extra)
    url = f"http://127.0.0.1:{port.port}/health"
    spec = ChildSpec(
        role.value,
        (*runtime.command, model.source, *flags),
        directory / f"{role}.log",
        ready_url=url,
        live_url=url,
        env=engine_environment(model, placement, environ),
        first_phase="importing vLLM",
    )
    return EnginePlan(role, model, placement, port, spec)


def _served_name(model: Model, role: Role, taken: list[str]) -> str:
    """The model's own name; the role's where that would mean two things."""
    return role.value if taken or model.name == "auto" else model.name


def _backend(engine: EnginePlan) -> Backend:
    command = engine.spec.command
    return Backend(
        engine.role,
        option_value(command, "--served-model-name") or engine.model.name,
        f"http://127.0.0.1:{engine.port.port}",
        option_value(command, "--api-key"),
    )


def _route_family(models: Mapping[Role, Model], base: Mapping[str, object]) -> str:
    routes = base.get("routes")
    auto = routes.get("auto") if isinstance(routes, dict) else None
    if isinstance(auto, dict) and isinstance(auto.get("family"), str):
        return str(auto["family"])
    # A pair is of the Qwen3 kind only if both are.
    families = [family_of(model).route[role] for role, model in models.items()]
    return families[0] if len(set(families)) == 1 else "generic-pair"


def _choose_device(wanted: str, runtime: Runtime, environ: Mapping[str, str]) -> tuple[tuple[Gpu, ...], list[str]]:
    gpus = () if wanted == "cpu" else find_gpus(environ)
    if wanted == "gpu" and not gpus:
        raise LaunchError("--device gpu: nvidia-smi shows no GPU here (or CUDA_VISIBLE_DEVICES hides them all).")
    if gpus and runtime.cpu_build:
        if wanted == "gpu":
            raise LaunchError(f"--device gpu: vLLM in {short_path(runtime.where)} is built for the CPU.")
        return (), [f"GPU present, but vLLM in {short_path(runtime.where)} is built for the CPU: the GPU stays unused."]
    if not gpus and runtime.cpu_build is False:
        raise LaunchError(
            f"vLLM in {short_path(runtime.where)} is built for GPUs, and there is none to use here.\n"
            "deploy/engine/install.sh puts a vLLM for the CPU into .venv-vllm (Linux, 2 GB)."
        )
    return gpus, []


def _notes(models: Mapping[Role, Model], gpus: tuple[Gpu, ...], options: Options) -> list[str]:
    notes = []
    sizes = [model.weight_bytes for model in models.values()]
    if not gpus and (None in sizes or max(size or 0 for size in sizes) >= _SLOW_BYTES):
        notes.append(
            "No GPU in use: on the CPU a model of this size loads for minutes and writes a few tokens a second, "
            "so thinking takes minutes. 无 GPU，思考会很慢。"
        )
    elif not gpus:
        notes.append("No GPU in use: fine for models this small; one of billions of parameters would be slow here.")
    downloads = [model.source for model in models.values() if not model.local]
    if downloads:
        notes.append(
            f"From the hub, downloaded if not yet cached: {', '.join(downloads)}. --startup-timeout covers that."
        )
    for gpu in gpus:
        if gpu.total_mib and gpu.used_mib > gpu.total_mib // 10:
            notes.append(
                f"GPU {gpu.index} ({gpu.name}): {gpu.used_mib} of {gpu.total_mib} MiB are in use already; "
                "if an engine finds too little, lower --gpu-memory-share."
            )
    for role, model in models.items():
        if role is not Role.HYBRID and model.switchable:
            notes.append(f"{model.name} can switch thinking on and off by itself; --hybrid may be what you want.")
        told_by_template = family_of(model).route[Role.HYBRID] == "qwen3-hybrid"
        if role is Role.HYBRID and model.local and told_by_template and not model.switchable:
            notes.append(f"{model.name}: its chat template has no enable_thinking switch; is it a hybrid model?")
    if options.gpu_memory_share and not gpus:
        notes.append("--gpu-memory-share has no effect on the CPU.")
    return notes


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(
            f"Logs cannot be written to {directory}: {error.strerror}. Choose another --log-dir."
        ) from error
