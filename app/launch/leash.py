"""Run one command so that nothing of it outlives its supervisor. A script of its own: standard library only.

    python -I -S leash.py PIPE_FD GRACE_S -- COMMAND…

A vLLM server is a tree: API server, engine core, workers, a resource tracker. Any of them may be killed, and so may the
supervisor. This small process stands between: it holds the reading end of a pipe whose other end only the supervisor
has, adopts whatever the command leaves behind, and ends when the whole tree has ended.

    pipe closed (supervisor gone) or SIGTERM: SIGTERM to the command, SIGKILL to the tree after GRACE_S seconds
    SIGQUIT: SIGKILL to the tree at once
    command ended: what is left of its tree gets SIGTERM, then SIGKILL; exit status is its own (128+n for signal n)
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LEFTOVERS_S = 3.0  # for orphans after their API server has gone: shared memory is worth cleaning up


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the process group has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_leash() -> None:
    # The leash itself may be killed with SIGKILL: its supervisor then kills the group, but may be dead too.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def descendants() -> list[int]:
    """All processes below this one, from /proc; orphans are among them, since this process adopts them."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    # The name in parentheses may itself hold spaces and parentheses.
                    state, parent = stat.read().rsplit(b")", 1)[1].split()[:2]
            except OSError:
                continue
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(name))
    found, new = [], [os.getpid()]
    while new:
        new = [child for parent in new for child in children.get(parent, [])]
        found += new
    return found


def _signal_tree(number: int) -> None:
    for pid in descendants():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Leash:
    """One command on its leash."""

    def __init__(self, pipe: int, grace_s: float, command: list[str]) -> None:
        self._pipe = pipe
        self._grace_s = grace_s
        self._kill_at: float | None = None
        self._patient = True
        wakeup, self._signals = os.pipe()
        self._wakeup = wakeup
        os.set_blocking(wakeup, False)
        os.set_blocking(self._signals, False)
        signal.set_wakeup_fd(self._signals, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        # preexec_fn is safe here: this process has one thread.
        self._child = subprocess.Popen(command, preexec_fn=_die_with_leash)  # noqa: S603

    def run(self) -> int:
        """Wait for the command's end and clean up after it; its exit status."""
        watched = [self._pipe, self._wakeup]
        while (status := self._reap()) is None:
            timeout = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
            ready, _, _ = select.select(watched, [], [], timeout)
            if self._pipe in ready and not os.read(self._pipe, 1):
                watched.remove(self._pipe)
                self._stop()
            if self._wakeup in ready:
                self._handle(os.read(self._wakeup, 512))
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                _signal_tree(signal.SIGKILL)
                self._kill_at = time.monotonic() + 1
        self._clean_up()
        return status

    def _handle(self, numbers: bytes) -> None:
        if signal.SIGQUIT in numbers:
            self._patient = False
            self._kill_at = 0.0
        elif {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} & set(numbers):
            self._stop()

    def _stop(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace_s
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGTERM)

    def _reap(self) -> int | None:
        """Collect every ended child; the command's status once it is among them."""
        status = None
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return status
            if pid == 0:
                return status
            if pid == self._child.pid:
                code = os.waitstatus_to_exitcode(wait_status)
                status = self._child.returncode = code if code >= 0 else 128 - code

    def _clean_up(self) -> None:
        """Nothing of the tree may stay: it would keep memory, GPU and port from the next start."""
        deadline = time.monotonic() + (min(_LEFTOVERS_S, self._grace_s) if self._patient else 0)
        number = signal.SIGTERM
        while descendants():
            if time.monotonic() >= deadline:
                number = signal.SIGKILL
            _signal_tree(number)
            self._reap()
            time.sleep(0.02)
        if not os.path.isdir("/proc"):
            os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(Leash(int(sys.argv[1]), float(sys.argv[2]), sys.argv[4:]).run())
