"""One child process on its leash, writing to a log file. Knows neither vLLM nor restarts."""

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.launch import leash
from app.launch.flags import masked
from app.launch.log import tail

KEEP_LOG_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run and how to see that it works. `env` is added to the supervisor's own environment."""

    name: str
    command: tuple[str, ...]
    log: Path
    ready_url: str
    live_url: str
    env: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 10.0
    first_phase: str = "starting"


class Process:
    """A running child; ends with all its descendants, whoever is killed first (see leash.py)."""

    def __init__(self, spec: ChildSpec, child: asyncio.subprocess.Process, pipe: int, log_start: int) -> None:
        self.spec = spec
        self.started_at = time.monotonic()
        self._child = child
        self._pipe: int | None = pipe
        self._log_start = log_start

    @classmethod
    async def start(cls, spec: ChildSpec) -> "Process":
        """Start it; raises OSError where even the leash cannot be started."""
        reading, writing = os.pipe()
        log, log_start = _open_log(spec)
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", leash.__file__, str(reading), str(spec.grace_s), "--", *spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **spec.env},
                pass_fds=(reading,),
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops things in order
            )  # fmt: skip
        except BaseException:
            os.close(writing)  # the leash, should it run already, ends by this
            raise
        finally:
            os.close(reading)
            os.close(log)
        return cls(spec, child, writing, log_start)

    @property
    def group(self) -> int:
        """Process group and session of the leash and all below it."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether its end has not been seen yet."""
        return self._child.returncode is None

    def last_lines(self, count: int) -> list[str]:
        """The end of its log, from this start on."""
        return tail(self.spec.log, count, self._log_start)

    async def wait(self) -> int:
        """Its exit status: the command's own, or 128+n for signal n."""
        status = await self._child.wait()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
            # Had the leash itself been killed, the rest of its group would be without one.
            self._signal_group(signal.SIGKILL)
        return status if status >= 0 else 128 - status

    def terminate(self) -> None:
        """SIGTERM now, SIGKILL to all of it after `grace_s`."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to all of it now."""
        self._signal(signal.SIGQUIT)

    async def stop(self) -> None:
        """Terminate and wait; never longer than the grace time and a little."""
        self.terminate()
        try:
            await asyncio.wait_for(self.wait(), self.spec.grace_s + 5)
        except TimeoutError:
            self._signal_group(signal.SIGKILL)
            await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            self._child.send_signal(number)
        except ProcessLookupError:
            pass

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.group, number)
        except (ProcessLookupError, PermissionError):  # nobody left; EPERM is how macOS says so
            pass


def _open_log(spec: ChildSpec) -> tuple[int, int]:
    """Append to the log, which says itself how to do by hand what was done; a very long one is set aside first."""
    if spec.log.exists() and spec.log.stat().st_size > KEEP_LOG_BYTES:
        spec.log.replace(spec.log.with_suffix(".log.1"))
    log = os.open(spec.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    variables = [f"{name}={shlex.quote(value)}" for name, value in spec.env.items()]
    words = " ".join([*variables, shlex.join(masked(spec.command))])
    os.write(log, f"thinkgate: {time.strftime('%Y-%m-%d %H:%M:%S')} starting: {words}\n".encode())
    return log, os.lseek(log, 0, os.SEEK_END)
