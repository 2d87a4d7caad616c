"""The gateway's configuration for launched engines, validated before anything starts. Starts nothing."""

import ipaddress
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from app.config_file import ConfigError, parse_settings
from app.launch.console import short_path
from app.launch.errors import LaunchError
from app.launch.flags import Role
from app.settings import Settings

POOLS = {Role.INSTRUCT: "fast", Role.THINKING: "deep", Role.HYBRID: "both"}
_DRAIN_S = 8  # of the 10 s that a child has between SIGTERM and SIGKILL


@dataclass(frozen=True, slots=True)
class Backend:
    """One engine as the gateway sees it."""

    role: Role
    model: str
    url: str
    api_key: str | None = None


def read_base(path: Path | None) -> dict[str, Any]:
    """The user's configuration as written, `${NAME}` unexpanded; empty without one. Raises LaunchError."""
    if path is None:
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LaunchError(f"--config {path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LaunchError(f"--config {path}: is not YAML: {error}") from error
    if data is not None and not isinstance(data, dict):
        raise LaunchError(f"--config {path}: must be a mapping.")
    for key in ("server", "routes", "judge"):
        if not isinstance((data or {}).get(key) or {}, dict):
            raise LaunchError(f"--config {path}: {key}: must be a mapping.")
    return data or {}


def configure(
    base: Mapping[str, Any],
    backends: Sequence[Backend],
    family: str,
    *,
    host: str | None = None,
    port: int | None = None,
    judge_weights: Path | None = None,
) -> dict[str, Any]:
    """The base with its pools and routes replaced by the launched ones; aliases keep their names and profiles."""
    server: dict[str, Any] = {"drain_timeout_s": _DRAIN_S, **(base.get("server") or {})}
    server |= {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    pools: dict[str, dict[str, Any]] = {}
    for backend in backends:
        pools[POOLS[backend.role]] = {"model": backend.model, "replicas": [backend.url]}
        if backend.api_key:
            pools[POOLS[backend.role]]["api_key"] = backend.api_key
    target: dict[str, Any] = {"family": family}
    if backends[0].role is Role.HYBRID:
        target["pool"] = POOLS[Role.HYBRID]
    else:
        target |= {"instruct": POOLS[Role.INSTRUCT], "thinking": POOLS[Role.THINKING]}
    aliases = {"auto": {}, **(base.get("routes") or {})}
    routes = {alias: {**target, "profile": _profile(route)} for alias, route in aliases.items()}
    made = {**base, "server": server, "pools": pools, "routes": routes}
    if judge_weights is not None:
        made["judge"] = {**(base.get("judge") or {}), "kind": "linear", "path": str(judge_weights.resolve())}
    return made


def _profile(route: object) -> object:
    return route.get("profile", "default") if isinstance(route, dict) else "default"


def check(config: Mapping[str, Any], base: Path | None) -> Settings:
    """What `serve` will read, checked before minutes are spent on engines; raises LaunchError."""
    try:
        settings = parse_settings(dict(config), os.environ)
    except ConfigError as error:
        where = f"--config {base}" if base else "the options"
        raise LaunchError("\n".join(f"{where}: {line}" for line in str(error).splitlines())) from error
    if settings.auth is None and not _is_loopback(settings.server.host):
        raise LaunchError(
            f"--host {settings.server.host} would open the gateway to everyone who reaches this machine.\n"
            'Name a --config FILE with `auth: {keys: [{key: "${THINKGATE_KEY}"}]}`, or keep to 127.0.0.1.'
        )
    return settings


def try_out(command: Sequence[str], config_path: Path) -> None:
    """Let the gateway itself check what it will be given, judge weights included; raises LaunchError with its words."""
    try:
        done = subprocess.run(  # noqa: S603
            [*command, "--check"], capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise LaunchError(f"the gateway did not finish its check of {short_path(config_path)} in 300 s.") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()][-5:]
        raise LaunchError(f"the gateway does not accept {short_path(config_path)}:\n" + "\n".join(said))


def write(config: Mapping[str, Any], path: Path) -> None:
    """For the owner's eyes only: it may hold keys."""
    text = "# Written by `thinkgate up`; overwritten at its next start.\n" + yaml.safe_dump(
        dict(config), sort_keys=False, allow_unicode=True
    )
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_url(host: str, port: int) -> str:
    """Where this machine reaches a server bound to `host`."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"
