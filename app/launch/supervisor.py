"""Bring the engines up, then the gateway, keep all of them alive, stop all of them. Knows no flag and no format."""

import asyncio
import signal
import time
from collections.abc import Sequence
from typing import Any

import httpx

from app.launch import banner
from app.launch.console import Console
from app.launch.first_requests import ask
from app.launch.plan import Plan
from app.launch.service import Pace, Service, StartFailed, State

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_QUIET_S = 2.0  # what takes longer shows progress


class Supervisor:
    """One run of `thinkgate up`."""

    def __init__(self, plan: Plan, console: Console, *, prompts: Sequence[str] = (), pace: Pace | None = None) -> None:
        self._plan = plan
        self._console = console
        self._prompts = prompts
        self._pace = pace or Pace()
        self._stop_asked = asyncio.Event()
        self._killed = False
        self._services: list[Service] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._progress: asyncio.Task[None] | None = None
        self._started_at = time.monotonic()

    async def run(self) -> int:
        """Until a signal says stop; the exit status."""
        loop = asyncio.get_running_loop()
        # Under nohup SIGHUP is ignored on purpose and stays so.
        handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in handled:
            loop.add_signal_handler(number, self._on_signal)
        # No proxy between us and 127.0.0.1, whatever the environment says.
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                status = await self._serve(client)
            finally:
                await self._stop_all()
                for number in handled:
                    loop.remove_signal_handler(number)
        return 130 if self._killed else status

    async def _serve(self, client: httpx.AsyncClient) -> int:
        engines = [Service(engine.spec, self._console, client, self._pace) for engine in self._plan.engines]
        gateway = Service(self._plan.gateway, self._console, client, self._pace)
        self._services = [gateway, *engines]
        self._progress = asyncio.create_task(self._show_progress())
        try:
            await self._bring_up([[e] for e in engines] if self._plan.one_after_another else [engines])
            await self._bring_up([[gateway]])
        except StartFailed as error:
            self._console.say(f"thinkgate up: {error}")
            return 1
        if self._stop_asked.is_set():
            return 0
        self._console.say(banner.ready(self._plan, time.monotonic() - self._started_at))
        first = asyncio.create_task(self._first_requests(client))
        stop = asyncio.create_task(self._stop_asked.wait())
        try:
            # A service's task never ends by itself: where one does, it is a fault of ours and must not go unseen.
            done, _ = await asyncio.wait({stop, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _cancel(stop, first)
        return 0

    def _on_signal(self) -> None:
        if not self._stop_asked.is_set():
            self._stop_asked.set()
            return
        self._killed = True
        self._console.say("Killing everything at once.")
        for service in self._services:
            service.kill()

    async def _bring_up(self, groups: list[list[Service]]) -> None:
        """Start group after group, each once the one before is ready; returns early where stopping is asked for."""
        stop = asyncio.create_task(self._stop_asked.wait())
        try:
            for group in groups:
                if self._stop_asked.is_set():
                    return
                self._tasks += [service.start() for service in group]
                ready = asyncio.create_task(_all_ready(group))
                try:
                    await asyncio.wait({stop, ready, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await _cancel(ready)
                for task in self._tasks:
                    if task.done():
                        task.result()  # StartFailed
        finally:
            await _cancel(stop)

    async def _show_progress(self) -> None:
        """For as long as anything is on its way up or down: first start, restart and stop alike."""
        busy_since = time.monotonic()
        while True:
            busy = [service for service in self._services if service.is_busy]
            if not busy:
                busy_since = time.monotonic()
            elif (seconds := time.monotonic() - busy_since) >= _QUIET_S:
                told = [(service.spec.name, *service.describe()) for service in busy]
                key = "; ".join(f"{name}: {phase}" for name, phase, _ in told)
                line = next((line for *_, line in told if line), "")
                self._console.status(key, f"[{seconds:3.0f} s] {key}{f' | {line}' if line else ''}")
            await asyncio.sleep(1)

    async def _first_requests(self, client: httpx.AsyncClient) -> None:
        auth = self._plan.settings.auth
        key = auth.keys[0].key.get_secret_value() if auth else None
        for prompt in self._prompts:
            self._console.say(f"\n“{prompt}”")
            try:
                answer = await ask(client, self._plan.url, prompt, key, self._console)
            except (httpx.HTTPError, ValueError, KeyError) as error:
                self._console.say(f"→ no answer: {error}")
                continue
            for line in answer.lines():
                self._console.say(line)

    async def _stop_all(self) -> None:
        """The gateway first, so that its last streams still have engines; then the engines together."""
        running = [service for service in self._services if service.state is not State.WAITING]
        if running:
            self._console.say("Stopping the gateway and the engines (Ctrl-C again: at once). 正在停止。")
        began = time.monotonic()
        gateway = [service for service in running if service.spec is self._plan.gateway]
        engines = [service for service in running if service.spec is not self._plan.gateway]
        try:
            for group in (gateway, engines):
                await asyncio.gather(*(service.stop() for service in group))
        finally:
            if self._progress is not None:
                await _cancel(self._progress)
        if running:
            self._console.say(f"Stopped after {time.monotonic() - began:.1f} s.")


async def _all_ready(services: Sequence[Service]) -> None:
    for service in services:
        await service.ready()


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
