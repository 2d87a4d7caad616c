"""One child kept alive: started, watched, reported when it ends, started again with backoff. Knows no other child."""

import asyncio
import re
import signal
import time
from dataclasses import dataclass
from enum import StrEnum

import httpx

from app.launch.console import Console, short_path
from app.launch.log import hint, notable, phase
from app.launch.process import ChildSpec, Process

REPORTED_LINES = 20
STARTS_TRIED = 3
_DIGITS = re.compile(r"\d+")
_WRONG_USAGE = 2  # argparse's exit status: another try would say the same


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a service is; seconds."""

    startup_s: float = 300.0
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    poll_s: float = 0.5
    watch_s: float = 5.0
    unhealthy_s: float = 30.0  # this long without a live server in a live process: it hangs
    steady_s: float = 60.0  # ready for this long: the next crash is a new story

    def backoff_s(self, failures: int) -> float:
        """1, 2, 4, … 60 s after the first, second, third … failure in a row."""
        return float(min(self.first_backoff_s * 2 ** min(failures - 1, 30), self.longest_backoff_s))


class State(StrEnum):
    """What a service is doing."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "waiting to start again"
    STOPPED = "stopping"


class StartFailed(Exception):
    """The first start did not succeed in STARTS_TRIED tries; the last log lines were printed."""


class Service:
    """Keeps one child running until stopped."""

    def __init__(self, spec: ChildSpec, console: Console, client: httpx.AsyncClient, pace: Pace | None = None) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.restarts = 0
        self.process: Process | None = None
        self._console = console
        self._client = client
        self._pace = pace or Pace()
        self._task: asyncio.Task[None] | None = None
        self._ready_once = asyncio.Event()
        self._failures = 0
        self._told: list[str] = []  # the last report, without pids and times
        self._since = time.monotonic()

    def start(self) -> "asyncio.Task[None]":
        """Start and keep alive; the task ends only with StartFailed, or when stopped."""
        self._task = asyncio.create_task(self._run(), name=self.spec.name)
        return self._task

    async def _run(self) -> None:
        while True:
            self._enter(State.STARTING)
            try:
                self.process = process = await Process.start(self.spec)
            except OSError as error:  # no memory, no disk for the log, no process left
                await self._after_failure(f"could not be started: {error}", [])
                continue
            ended = asyncio.create_task(process.wait())
            try:
                cause = await self._until_ready(ended)
                if not cause:
                    self._announce()
                    cause = await self._while_alive(ended)
                if not ended.done():
                    await process.stop()
            finally:
                ended.cancel()
            await self._after_failure(cause, process.last_lines(400))

    async def ready(self) -> None:
        """Wait for the first time it is ready."""
        await self._ready_once.wait()

    @property
    def is_ready(self) -> bool:
        """Whether it has been ready at least once."""
        return self._ready_once.is_set()

    def describe(self) -> tuple[str, str]:
        """(phase, the latest notable log line) of a start under way."""
        if self.state is not State.STARTING or self.process is None:
            return str(self.state), ""
        lines = self.process.last_lines(200)
        return phase(lines, self.spec.first_phase), notable(lines)

    @property
    def is_busy(self) -> bool:
        """Whether it is on its way up or down."""
        if self.state is State.STOPPED:
            return self.process is not None and self.process.is_running
        return self.state in (State.STARTING, State.BACKING_OFF)

    @property
    def seconds(self) -> float:
        """Seconds since the state was entered."""
        return time.monotonic() - self._since

    async def stop(self) -> None:
        """End it for good: SIGTERM, then SIGKILL after the grace time."""
        self._enter(State.STOPPED)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.process is not None:
            await self.process.stop()

    def kill(self) -> None:
        """End it for good and at once; whoever awaits `stop` need not wait any longer."""
        self._enter(State.STOPPED)
        if self.process is not None:
            self.process.kill()

    def _enter(self, state: State) -> None:
        self.state, self._since = state, time.monotonic()

    async def _until_ready(self, ended: "asyncio.Task[int]") -> str:
        """Empty when ready, else why not."""
        deadline = time.monotonic() + self._pace.startup_s
        while time.monotonic() < deadline:
            if await self._status(self.spec.ready_url) == 200:
                return ""
            done, _ = await asyncio.wait({ended}, timeout=self._pace.poll_s)
            if done:
                return _ending(ended.result())
        return f"was not ready after {self._pace.startup_s:g} s (--startup-timeout)"

    async def _while_alive(self, ended: "asyncio.Task[int]") -> str:
        """Why it is not alive any more."""
        alive_at = time.monotonic()
        while True:
            done, _ = await asyncio.wait({ended}, timeout=self._pace.watch_s)
            if done:
                return _ending(ended.result())
            # A slow answer is a busy server, not a dead one: only a refusal or an error counts.
            if await self._status(self.spec.live_url) in (200, None):
                alive_at = time.monotonic()
            elif time.monotonic() - alive_at > self._pace.unhealthy_s:
                return f"runs, but has answered no health check for {self._pace.unhealthy_s:g} s"

    async def _status(self, url: str) -> int | None:
        """The HTTP status; 0 where nobody listens, None where no answer came in time."""
        try:
            return (await self._client.get(url, timeout=5.0)).status_code
        except httpx.TimeoutException:
            return None
        except httpx.HTTPError:
            return 0

    def _announce(self) -> None:
        seconds = self.seconds
        self._enter(State.READY)
        if self.is_ready:
            self._console.event(f"{self.spec.name}: ready again after {seconds:.0f} s")
        self._ready_once.set()

    async def _after_failure(self, cause: str, lines: list[str]) -> None:
        """Report, then wait before the next start; raises StartFailed where there should be none."""
        if self.state is State.READY and self.seconds >= self._pace.steady_s:
            self._failures = 0
        self._failures += 1
        ready_for = f" after {self.seconds:.0f} s of service" if self.state is State.READY else ""
        self._console.event(f"{self.spec.name}: {cause}{ready_for}. Last lines of {short_path(self.spec.log)}:")
        last = lines[-REPORTED_LINES:] or ["(empty)"]
        told = [_DIGITS.sub("", line) for line in last]
        for line in last if told != self._told else ["(as before)"]:
            self._console.say(f"    {line[:300]}")
        self._told = told
        if advice := hint(lines):
            self._console.say(f"  → {advice}")
        hopeless = cause.startswith(("exit status 2 ", "was not ready"))
        if not self.is_ready and (hopeless or self._failures >= STARTS_TRIED):
            tries = "its only try" if self._failures == 1 else f"{self._failures} tries"
            raise StartFailed(f"{self.spec.name} did not start in {tries}. The whole log: {short_path(self.spec.log)}")
        self.restarts += 1
        backoff_s = self._pace.backoff_s(self._failures)
        self._console.event(f"{self.spec.name}: starting it again in {backoff_s:g} s")
        self._enter(State.BACKING_OFF)
        await asyncio.sleep(backoff_s)


def _ending(status: int) -> str:
    if status == _WRONG_USAGE:
        return "exit status 2 (it does not accept its command line)"
    if status > 128:
        try:
            name = signal.Signals(status - 128).name
        except ValueError:
            return f"ended with exit status {status}"
        memory = "; out of memory?" if name == "SIGKILL" else ""
        return f"was killed by {name}{memory}"
    return f"ended with exit status {status}"
