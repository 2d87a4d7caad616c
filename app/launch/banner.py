"""What is printed before the start and once everything is ready. Knows no process."""

import json
import shlex

from app.launch.console import short_path
from app.launch.plan import EnginePlan, Plan


def opening(plan: Plan) -> str:
    """What will be started, where and how long it takes."""
    version = f"vLLM {plan.runtime.version}" if plan.runtime.version else "vLLM"
    lines = [
        f"ThinkGate: starting {len(plan.engines)} × {version} ({short_path(plan.runtime.where)}), then the gateway."
    ]
    for engine in plan.engines:
        lines.append(
            f"  {engine.role:<9} {short_path(engine.model.source)} on {_device(engine)}, port {engine.port.port}"
        )
        lines.append(f"            log {short_path(engine.spec.log)}")
    lines += [f"  note: {note}" for note in plan.notes]
    return "\n".join(lines)


def ready(plan: Plan, seconds: float) -> str:
    """Where to go from here."""
    models = [f"{alias}" for alias in plan.settings.routes] + [
        f"{a}-{m}" for a in ("auto",) for m in ("instruct", "thinking")
    ]
    models += [pool.model for pool in plan.settings.pools.values()]
    rows = [
        ("URL", f"{plan.url}/v1"),
        ("models", " · ".join(dict.fromkeys(models))),
        *(
            (str(engine.role), f"http://127.0.0.1:{engine.port.port}  log {short_path(engine.spec.log)}")
            for engine in plan.engines
        ),
        ("gateway", f"log {short_path(plan.gateway.log)}  configuration {short_path(plan.config_path)}"),
    ]
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]})
    key = ' -H "authorization: Bearer $KEY"' if plan.settings.auth else ""
    return "\n".join(
        [
            "",
            f"ThinkGate is ready after {seconds:.0f} s. 已就绪。",
            *(f"  {name:<9} {value}" for name, value in rows),
            "",
            f"  curl -i {plan.url}/v1/chat/completions -H 'content-type: application/json'{key} \\",
            f"    -d {shlex.quote(body)}",
            "",
            "Ctrl-C stops everything. 按 Ctrl-C 全部停止。",
        ]
    )


def _device(engine: EnginePlan) -> str:
    gpus = engine.placement.gpus
    if not gpus:
        return "the CPU"
    share = f", {engine.placement.memory_share:.0%} of its memory" if len(gpus) == 1 else ""
    return f"{'GPU' if len(gpus) == 1 else 'GPUs'} {', '.join(gpu.index for gpu in gpus)} ({gpus[0].name}{share})"
