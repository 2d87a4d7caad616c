"""The processes of a chaos run: fake vLLM servers that can be killed and frozen, and the real gateway."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
UPSTREAM = ROOT / "tests" / "bench" / "upstream.py"


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Replica:
    """A fake vLLM server as a process of its own."""

    def __init__(self, port: int, model: str, *, delay_ms: float, latency_ms: float, ttft_ms: float) -> None:
        self.port = port
        self._model = model
        self._env = {"FAKE_DELAY_MS": delay_ms, "FAKE_LAT_MS": latency_ms, "FAKE_TTFT_MS": ttft_ms}
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(UPSTREAM), "--listen", f"{self.port}:{self._model}"),
            env={**os.environ, **{name: str(value) for name, value in self._env.items()}},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # it complains of clients that are gone
        )
        assert self.process.stdout is not None
        await asyncio.wait_for(self.process.stdout.readline(), 60)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


class Gateway:
    """The real gateway as a process of its own."""

    def __init__(
        self, settings: dict[str, Any], *, descriptors: int = 0, environment: dict[str, str] | None = None
    ) -> None:
        self._settings = settings
        self._environment = {**os.environ, **(environment or {})}
        self._command = [sys.executable, "-m", "app", "serve"]
        if descriptors:
            self._command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *self._command]
        self._folder = tempfile.TemporaryDirectory(prefix="thinkgate-chaos-")
        self.file = Path(self._folder.name) / "gateway.yaml"
        self.log = Path(self._folder.name) / "log"
        self.port = 0
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.write(self._settings)
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self._command, "--config", str(self.file)),
                cwd=ROOT,
                env=self._environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), 90)).decode()
        assert "ready on" in line, line + self.log.read_text()
        self.port = int(line.split("127.0.0.1:")[1].split()[0])

    def write(self, settings: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(settings))  # JSON is YAML

    async def stop(self) -> int:
        """SIGTERM; the exit status. It can be started again."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 90)

    async def kill(self) -> None:
        """`kill -9` where it still runs; its configuration and log are gone then."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self._folder.cleanup()

    def resources(self) -> dict[str, int]:
        """Memory in KiB and open descriptors."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rss = int(status.split("VmRSS:")[1].split()[0])
        return {"rss_kib": rss, "descriptors": len(os.listdir(f"/proc/{self.process.pid}/fd"))}

    def cpu_s(self) -> float:
        """Seconds of CPU that it has used."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def metrics(self) -> dict[str, float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        text = (await asyncio.wait_for(reader.read(), 60)).decode()
        writer.close()
        found = {}
        for line in text.split("\r\n\r\n", 1)[1].splitlines():
            if line and not line.startswith("#") and " " in line:
                name, _, value = line.rpartition(" ")
                with contextlib.suppress(ValueError):
                    found[name] = float(value)
        return found

    async def in_flight(self) -> float:
        return sum(v for name, v in (await self.metrics()).items() if name.startswith("thinkgate_in_flight"))
