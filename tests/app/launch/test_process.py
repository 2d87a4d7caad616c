"""One child with its log."""

import os
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.launch.process import ChildSpec, Process
from tests.app.launch.conftest import is_alive, tree_pids, wait_until


async def test_the_log_says_how_to_do_it_by_hand_but_no_secret(child: Callable[..., ChildSpec]) -> None:
    spec = child("crash")
    spec = replace(spec, command=(*spec.command, "--api-key", "s3cret"), env={"OMP_NUM_THREADS": "1"})
    process = await Process.start(spec)
    assert await process.wait() == 1
    text = spec.log.read_text()
    assert "starting: OMP_NUM_THREADS=1 " in text
    assert "s3cret" not in text
    assert "CUDA out of memory: boom" in text
    assert stat.S_IMODE(spec.log.stat().st_mode) == 0o600


async def test_last_lines_are_those_of_this_start(child: Callable[..., ChildSpec]) -> None:
    spec = child("crash")
    spec.log.write_text("from an earlier start\n")
    process = await Process.start(spec)
    await process.wait()
    assert process.last_lines(20)[-1] == "CUDA out of memory: boom"
    assert not any("earlier" in line or "starting:" in line for line in process.last_lines(20))


async def test_stop_kills_what_ignores_sigterm_with_all_its_children(
    child: Callable[..., ChildSpec], tmp_path: Path
) -> None:
    process = await Process.start(child("tree", grace_s=0.3))
    pids = tree_pids(tmp_path / "file")
    began = time.monotonic()
    await process.stop()
    assert 0.2 < time.monotonic() - began < 30
    assert not any(is_alive(pid) for pid in pids)


async def test_a_killed_leash_leaves_nothing_of_its_group(child: Callable[..., ChildSpec], tmp_path: Path) -> None:
    process = await Process.start(child("tree"))
    server, core, apart = tree_pids(tmp_path / "file")
    os.kill(process.group, signal.SIGKILL)
    assert await process.wait() == 128 + signal.SIGKILL
    assert wait_until(lambda: not is_alive(server) and not is_alive(core))
    os.kill(apart, signal.SIGKILL)  # in a session of its own and without its leash: the one case that is not covered


async def test_a_huge_log_is_set_aside(child: Callable[..., ChildSpec]) -> None:
    spec = child("crash")
    with spec.log.open("wb") as log:
        log.truncate((64 << 20) + 1)
    await (await Process.start(spec)).wait()
    assert spec.log.stat().st_size < 10_000
    assert spec.log.with_suffix(".log.1").exists()
