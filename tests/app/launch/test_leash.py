"""Nothing of a command outlives its supervisor, whoever is killed first."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.launch import leash
from tests.app.launch.conftest import FAKE, is_alive, tree_pids, wait_until


class Leashed:
    """A leash started as the supervisor starts it, whose pipe the test holds."""

    def __init__(self, *command: str, grace_s: float = 0.3) -> None:
        reading, self.writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", leash.__file__, str(reading), str(grace_s), "--", *command],
            pass_fds=(reading,),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reading)

    def close_pipe(self) -> None:
        os.close(self.writing)
        self.writing = -1

    def wait(self) -> int:
        return self.process.wait(timeout=60)


@pytest.fixture
def tree(tmp_path: Path, free_port: int) -> Iterator[tuple[Leashed, list[int]]]:
    held = Leashed(sys.executable, "-S", str(FAKE), str(free_port), "tree", str(tmp_path / "pids"))
    pids = tree_pids(tmp_path / "pids")
    yield held, pids
    if held.writing >= 0:
        held.close_pipe()
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    held.process.wait(timeout=10)


def test_the_tree_dies_when_the_supervisor_is_gone(tree: tuple[Leashed, list[int]]) -> None:
    held, pids = tree
    held.close_pipe()
    held.wait()
    assert not any(is_alive(pid) for pid in pids)


def test_orphans_of_a_killed_api_server_die(tree: tuple[Leashed, list[int]]) -> None:
    held, pids = tree
    os.kill(pids[0], signal.SIGKILL)
    assert held.wait() == 128 + signal.SIGKILL
    assert not any(is_alive(pid) for pid in pids)


def test_a_stubborn_tree_is_killed_after_the_grace_time(tree: tuple[Leashed, list[int]]) -> None:
    held, pids = tree
    held.process.terminate()
    assert held.wait() == 128 + signal.SIGKILL
    assert not any(is_alive(pid) for pid in pids)


def test_sigquit_does_not_wait_for_the_grace_time(tmp_path: Path, free_port: int) -> None:
    held = Leashed(sys.executable, "-S", str(FAKE), str(free_port), "tree", str(tmp_path / "pids"), grace_s=60)
    pids = tree_pids(tmp_path / "pids")
    held.process.send_signal(signal.SIGQUIT)
    held.wait()
    held.close_pipe()
    assert not any(is_alive(pid) for pid in pids)


def test_the_command_dies_with_a_killed_leash(tree: tuple[Leashed, list[int]]) -> None:
    held, pids = tree
    held.process.kill()
    assert wait_until(lambda: not is_alive(pids[0]))


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 15)", 143), ("", 0)]
)
def test_the_exit_status_is_the_commands_own(code: str, status: int) -> None:
    held = Leashed(sys.executable, "-c", code)
    assert held.wait() == status
    held.close_pipe()
