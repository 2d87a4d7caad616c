"""What the figures were measured on: processor, load, versions. Measures nothing."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "fastapi")


def facts() -> dict[str, Any]:
    """Of this machine at this moment, for the JSON beside every table."""
    return {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "commit": _commit(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def in_words(found: dict[str, Any]) -> str:
    """One line for people."""
    load = " ".join(f"{x:.1f}" for x in found["load_average"])
    return (
        f"{found['processor']}, {found['cores']} cores, Linux {found['kernel']}, Python {found['python']}, commit "
        f"{found['commit']}, {found['when']}, load average at the end {load}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
