"""A Docker daemon of the checks' own, in a network namespace of its own where containers run. Knows no image.

Nothing can be pulled: whatever a Dockerfile or compose file names must have been imported under that name before.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.tools import ROOT, tool, wait_for

# Debian's: a newer client without its plugins knows neither BuildKit nor compose.
DOCKER = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else (shutil.which("docker") or "docker")
COMPOSE = "/usr/bin/docker-compose" if Path("/usr/bin/docker-compose").exists() else "docker-compose"


@dataclass(frozen=True)
class Docker:
    """A daemon that runs; `pid` is a process in its namespaces."""

    socket: Path
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """What clients of the daemon need."""
        return os.environ | {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "1"}

    def run(self, *command: str, check: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A client's command."""
        done = subprocess.run(
            command, env=self.environment | environment, capture_output=True, text=True, check=False, cwd=ROOT
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def docker(self, *words: str) -> str:
        """`docker WORDS`: what it prints."""
        return self.run(DOCKER, *words).stdout.strip()

    def inspect(self, name: str) -> Any:
        """Facts about an image, a container or a volume."""
        return json.loads(self.docker("inspect", name))[0]

    def inside(self, *command: str) -> list[str]:
        """A command line that runs in the daemon's network, where published ports are."""
        return ["nsenter", "-t", str(self.pid), "-n", *command]


@contextlib.contextmanager
def daemon(folder: Path, *, private: bool) -> Iterator[Docker]:
    """Run a daemon whose images are kept in `folder`: in the host's network to build, in a private one to run."""
    assert os.geteuid() == 0, "the container checks need root, as dockerd does"
    socket = folder / "docker.sock"
    words = [
        tool("dockerd"),
        f"--host=unix://{socket}",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/docker.pid",
        "--log-level=warn",
    ]
    if private:
        words = ["unshare", "-n", "-m", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *words]
    else:
        words += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none"]
    log = folder / f"dockerd-{'run' if private else 'build'}.log"
    with log.open("w") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out)
    try:
        docker = Docker(socket, process.pid)

        def answers() -> bool:
            assert process.poll() is None, log.read_text("utf-8")[-3000:]
            return docker.run(DOCKER, "version", check=False).returncode == 0

        wait_for("dockerd", answers, 60)
        yield docker
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
