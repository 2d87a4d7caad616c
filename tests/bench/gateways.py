"""The gateways that are measured: how each is started, asked and versioned. Measures nothing."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.machine import ROOT
from tests.bench.processes import GATEWAY_CPU, KEY, Upstream, free_port, pinned, running

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that can be started; its words may hold {port}, {a} and {b} (the upstream's ports), {directory}."""

    name: str
    command: tuple[str, ...]
    ready: str
    model: str = "fake-model"
    note: str = ""
    version: tuple[str, ...] = ()
    """A command that prints it, or a Python distribution in the environment of `command[0]`."""

    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def installed(self) -> bool:
        """Can it be started here?"""
        program = self.command[0]
        return bool(_which(program))


@dataclass(frozen=True, slots=True)
class Started:
    """A gateway that runs; pid 0 and no start for what is asked directly."""

    name: str
    url: str
    model: str
    pid: int | None
    start_s: float | None


THINKGATE_YAML = """\
server: {{port: {port}{workers}}}
auth:
  keys: [{{key: KEY, tenant: bench}}{keys}]
pools:
  fast: {{model: fake-model, replicas: ["http://127.0.0.1:{a}"]}}
  deep: {{model: fake-model-b, replicas: ["http://127.0.0.1:{b}"]}}
routes:
  auto: {{family: qwen3-2507, instruct: fast, thinking: deep, profile: default}}
{routes}judge: {{kind: linear}}
profiles:
  default: {{threshold: 0.5, metadata: both}}
""".replace("KEY", KEY)
"""The default configuration with keys: the trained judge, metadata in headers and body, sessions, metrics."""

DECISIONS = 'decisions: {{url: "sqlite:///{directory}/decisions.db"}}\n'

NGINX_CONF = """\
daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr warn;
worker_rlimit_nofile 16000;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 10000000;
  client_body_temp_path {directory}/b; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  upstream up {{ server 127.0.0.1:{a}; keepalive 2048; keepalive_requests 10000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; client_body_buffer_size 1m;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
                  proxy_read_timeout 300s; }} }}
}}
"""

LITELLM_YAML = """\
model_list:
  - model_name: fake-model
    litellm_params: {{model: hosted_vllm/fake-model, api_base: "http://127.0.0.1:{a}/v1", api_key: "none"}}
litellm_settings: {{callbacks: [], num_retries: 0, request_timeout: 300, set_verbose: false}}
general_settings: {{}}
"""

_UPSTREAMS = ("http://127.0.0.1:{a}", "http://127.0.0.1:{b}")


def thinkgate(
    name: str = "thinkgate", *, log: bool = True, workers: int = 1, routes: int = 0, keys: int = 0
) -> Gateway:
    """This gateway, with or without its decision log, and with `routes` and `keys` more than the one of each."""
    more_keys = "".join(f", {{{{key: key-{i:07}, tenant: t{i:07}}}}}" for i in range(keys))
    route = "{{family: qwen3-2507, instruct: fast, thinking: deep, profile: default}}"
    more_routes = "".join(f"  r{i:07}: {route}\n" for i in range(routes))
    text = THINKGATE_YAML.replace("{keys}", more_keys).replace("{routes}", more_routes)
    text = text.replace("{workers}", f", workers: {workers}" if workers > 1 else "") + (DECISIONS if log else "")
    return Gateway(
        name,
        (sys.executable, "-m", "app", "serve", "--config", "{directory}/thinkgate.yaml"),
        "/health/ready",
        model="auto",
        note=("keys, judge, metadata, metrics, sessions" + (", decision log" if log else "")),
        version=("thinkgate",),
        files={"thinkgate.yaml": text},
    )


def catalogue() -> dict[str, Gateway]:
    """All of them, in the order of the table."""
    environments = {n: f"{ROOT}/.venv-bench-{n}/bin" for n in ("vllm-router", "sglang-router", "litellm")}
    serving = ("--host", "127.0.0.1", "--port", "{port}")
    routing = (*serving, "--worker-urls", *_UPSTREAMS, "--policy", "round_robin")
    made = (
        thinkgate(),
        thinkgate("thinkgate-no-log", log=False),
        Gateway(
            "nginx",
            ("nginx", "-p", "{directory}", "-c", "{directory}/nginx.conf"),
            "/health",
            note="one worker, no buffering",
            version=("nginx", "-v"),
            files={"nginx.conf": NGINX_CONF},
        ),
        Gateway(
            "vllm-router",
            (
                *(f"{environments['vllm-router']}/vllm-router", *routing, "--log-level", "warning"),
                *("--prometheus-port", "{other}", "--max-concurrent-requests", "4096", "--queue-size", "4096"),
            ),
            "/health",
            note="Rust, round robin",
            version=("vllm-router",),
        ),
        Gateway(
            "sglang-router",
            (
                *(f"{environments['sglang-router']}/smg", "launch", *routing, "--log-level", "warn"),
                *("--prometheus-port", "{other}", "--max-concurrent-requests", "4096"),
            ),
            "/health",
            note="Rust, round robin",
            version=("sglang-router",),
        ),
        Gateway(
            "litellm",
            (
                *(f"{environments['litellm']}/litellm", "--config", "{directory}/litellm.yaml", *serving),
                *("--num_workers", "1", "--telemetry", "False"),
            ),
            "/health/liveliness",
            note="Python",
            version=("litellm",),
            environment={
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
                "LITELLM_MODE": "PRODUCTION",
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            },
            files={"litellm.yaml": LITELLM_YAML},
        ),
    )
    return {gateway.name: gateway for gateway in made}


@contextlib.contextmanager
def started(gateway: Gateway, behind: Upstream, directory: Path, cpu: str = GATEWAY_CPU) -> Iterator[Started]:
    """Run it on one core (or `cpu`), in front of `behind`."""
    directory.mkdir(parents=True, exist_ok=True)
    words = {
        "port": free_port(),
        "other": free_port(),
        "directory": directory,
        "a": behind.ports[0],
        "b": behind.ports[1],
    }
    for name, text in gateway.files.items():
        (directory / name).write_text(text.format(**words))
    command = pinned(cpu, *(word.format(**words) for word in gateway.command))
    url = f"http://127.0.0.1:{words['port']}"
    with running(gateway.name, command, url + gateway.ready, gateway.environment) as (pid, start_s):
        yield Started(gateway.name, url, gateway.model, pid, start_s)


def direct(behind: Upstream) -> Started:
    """No gateway at all: what the others are compared with."""
    return Started(DIRECT, behind.url, "fake-model", None, None)


def version_of(gateway: Gateway) -> str:
    """What the gateway says it is."""
    command: Sequence[str] = gateway.version
    if len(command) == 1:
        python = Path(gateway.command[0]).parent / "python" if gateway.command[0] != sys.executable else sys.executable
        command = (str(python), "-c", f"import importlib.metadata as m; print(m.version({command[0]!r}))")
    asked = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})
    return (asked.stdout or asked.stderr).strip().rpartition("/")[2].splitlines()[-1] if asked.returncode == 0 else "?"


def describe(gateways: Sequence[Gateway]) -> dict[str, Any]:
    """Names, versions and commands, for the JSON."""
    return {
        g.name: {"version": version_of(g), "command": " ".join(g.command), "note": g.note, "files": json.dumps(g.files)}
        for g in gateways
    }


def _which(program: str) -> str:
    if "/" in program:
        return program if os.access(program, os.X_OK) else ""
    found = subprocess.run(["which", program], capture_output=True, text=True, check=False)
    return found.stdout.strip()
