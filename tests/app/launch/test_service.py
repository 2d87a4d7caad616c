"""A child is kept alive, and its deaths are reported."""

import asyncio
import io
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from app.launch.console import Console
from app.launch.process import ChildSpec
from app.launch.service import Pace, Service, StartFailed, State
from tests.app.launch.conftest import is_alive, tree_pids

QUICK = Pace(startup_s=60, first_backoff_s=0.02, poll_s=0.05, watch_s=0.05, unhealthy_s=0.3)


@pytest.fixture
async def serve(
    console: Console, client: httpx.AsyncClient, child: Callable[..., ChildSpec]
) -> AsyncIterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(behaviour: str, pace: Pace = QUICK, grace_s: float = 5.0) -> Service:
        made.append(Service(child(behaviour, grace_s), console, client, pace))
        return made[-1]

    yield make
    for service in made:
        await service.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (it is another process that we wait for)
            await asyncio.sleep(0.02)


def test_backoff_doubles_from_one_second_to_sixty() -> None:
    assert [Pace().backoff_s(n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert Pace().backoff_s(10_000) == 60


async def test_it_becomes_ready(serve: Callable[..., Service]) -> None:
    service = serve("ready")
    service.start()
    await asyncio.wait_for(service.ready(), 60)
    assert service.state is State.READY


async def test_three_failed_first_starts_end_it_with_the_last_lines(
    serve: Callable[..., Service], printed: io.StringIO
) -> None:
    with pytest.raises(StartFailed, match="3 tries"):
        await serve("crash").start()
    text = printed.getvalue()
    assert "fake: ended with exit status 1. Last lines of" in text
    assert "    CUDA out of memory: boom" in text
    assert "lower --max-model-len" in text
    assert text.count("(as before)") == 2


async def test_a_wrong_command_line_is_not_tried_twice(serve: Callable[..., Service], printed: io.StringIO) -> None:
    with pytest.raises(StartFailed, match="its only try"):
        await serve("usage").start()
    assert "does not accept its command line" in printed.getvalue()


async def test_a_start_that_takes_too_long_ends_it_and_the_process(
    serve: Callable[..., Service], printed: io.StringIO
) -> None:
    service = serve("silent", Pace(startup_s=0.6, poll_s=0.05))
    with pytest.raises(StartFailed):
        await service.start()
    assert "was not ready after 0.6 s (--startup-timeout)" in printed.getvalue()
    assert service.process is not None
    assert not is_alive(service.process.group)


async def test_it_becomes_ready_after_two_failures(serve: Callable[..., Service]) -> None:
    service = serve("crash-twice")
    service.start()
    await asyncio.wait_for(service.ready(), 60)
    assert service.restarts == 2


async def test_a_killed_engine_is_reported_and_started_again(
    serve: Callable[..., Service], printed: io.StringIO, tmp_path: Path
) -> None:
    service = serve("tree", Pace(first_backoff_s=0.02, poll_s=0.05, watch_s=0.05), grace_s=0.2)
    service.start()
    await asyncio.wait_for(service.ready(), 60)
    pids = tree_pids(tmp_path / "file")
    (tmp_path / "file").unlink()
    os.kill(pids[0], signal.SIGKILL)
    await until(lambda: service.restarts == 1 and service.state is State.READY)
    assert re.search(r"fake: was killed by SIGKILL; out of memory\? after \d+ s of service", printed.getvalue())
    assert "fake: ready again after" in printed.getvalue()
    assert not any(is_alive(pid) for pid in pids)


async def test_a_live_process_without_a_live_server_is_started_again(
    serve: Callable[..., Service], printed: io.StringIO, tmp_path: Path
) -> None:
    service = serve("sick")
    service.start()
    await asyncio.wait_for(service.ready(), 60)
    (tmp_path / "file").touch()
    await until(lambda: service.restarts == 1)
    assert "has answered no health check for 0.3 s" in printed.getvalue()
    (tmp_path / "file").unlink()
    await until(lambda: service.state is State.READY)


async def test_after_the_first_readiness_it_never_gives_up(
    serve: Callable[..., Service], console: Console, tmp_path: Path
) -> None:
    service = serve("mortal", Pace(startup_s=60, first_backoff_s=0.01, poll_s=0.05, watch_s=0.02, unhealthy_s=0.05))
    task = service.start()
    await asyncio.wait_for(service.ready(), 60)
    (tmp_path / "file").touch()
    await until(lambda: service.restarts >= 4)
    assert not task.done()


async def test_stop_ends_process_and_restarts(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve("tree", grace_s=0.2)
    service.start()
    await asyncio.wait_for(service.ready(), 60)
    pids = tree_pids(tmp_path / "file")
    await service.stop()
    assert service.state is State.STOPPED
    assert not any(is_alive(pid) for pid in pids)


async def test_kill_shortens_a_stop_that_waits(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve("tree", grace_s=60)
    service.start()
    await asyncio.wait_for(service.ready(), 60)
    pids = tree_pids(tmp_path / "file")
    stopping = asyncio.create_task(service.stop())
    await asyncio.sleep(0.1)
    service.kill()
    await asyncio.wait_for(stopping, 30)
    assert not any(is_alive(pid) for pid in pids)


async def test_a_command_that_does_not_exist_is_reported(serve: Callable[..., Service], printed: io.StringIO) -> None:
    service = serve("ready")
    object.__setattr__(service.spec, "command", ("/nowhere/vllm",))
    with pytest.raises(StartFailed):
        await service.start()
    assert "/nowhere/vllm" in printed.getvalue()
