"""Several worker processes on one port, and this process that supervises them. Knows processes, sockets and signals;
knows nothing of requests.

Workers are forked, so that what was imported is shared between them. The supervisor opens the listening sockets, some
for each worker (SO_REUSEPORT: the kernel deals connections out between them), and keeps them open: while a dead worker
is replaced, connections that were not accepted yet wait for its successor instead of being reset.
"""

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import FrameType

from app.config_file import ConfigError
from app.gateway import keep_fixed
from app.metrics.totals import Family
from app.server.census import Census
from app.server.channel import Channel, Leaving, Ready, Reload, Report, Stop, StopNow, ToSupervisor, Totals
from app.server.forking import fork, status_of
from app.server.reload import POLL_S, FileWatch
from app.server.serving import CUT_OFF_S, listener, open_listeners, say_ready
from app.settings import Settings

log = logging.getLogger("thinkgate")
TICK_S = 0.25
KILL_AFTER_S = 5.0  # beyond all that a worker may take to end
LIVED_S = 5.0  # one that dies sooner would only die again: the next try comes later
MOST_DELAY_S = 30.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Source:
    """Where settings come from, and what is done with them."""

    path: Path
    judge_card: Callable[[Settings], Path | None]
    """The file that changes when the judge's weights do."""

    read: Callable[[], Settings]
    """The file's settings. Raises ConfigError."""

    check: Callable[[], None]
    """Make all that the file asks for, and throw it away; called in a process of its own. Raises ConfigError."""

    work: Callable[[Settings, list[socket.socket], socket.socket], int]
    """Be a worker, until the end; its exit status."""


@dataclass(slots=True)
class Seat:
    """A worker's place: its sockets stay while workers come and go."""

    number: int
    sockets: list[socket.socket]
    failures: int = 0
    start_at_s: float = 0.0
    empty: bool = True


@dataclass(slots=True, eq=False)
class Worker:
    """A process that serves, is about to, or is about to end."""

    pid: int
    seat: Seat
    channel: Channel
    since_s: float
    ready: bool = False
    leaving: bool = False
    counted: list[Family] = field(default_factory=list)


class Workers:
    """The supervisor."""

    def __init__(self, settings: Settings, source: Source) -> None:
        server = settings.server
        sockets = open_listeners(server.host, server.port, server.workers * server.listeners)
        each = server.listeners
        self._seats = [Seat(n, sockets[n * each : (n + 1) * each]) for n in range(server.workers)]
        self._family, self._address = sockets[0].family, sockets[0].getsockname()
        self._settings = settings
        self._source = source
        self._workers: list[Worker] = []
        self._census = Census(lambda: [worker for worker in self._workers if worker.ready])
        self._watch = FileWatch(source.path, lambda: source.judge_card(self._settings))
        self._look_at_s = 0.0
        self._checking: int | None = None
        self._check_again = False
        self._selector = selectors.DefaultSelector()
        self._established = False
        self._stopping = False
        self._kill_at_s = float("inf")
        self._status = 0

    def run(self) -> int:
        """Until the end; the exit status."""
        heard, wakes = os.pipe()
        for end in (heard, wakes):
            os.set_blocking(end, False)
        before = {number: signal.signal(number, _noted) for number in _SIGNALS}
        woken_before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self._wakeup = (heard, wakes)
        self._selector.register(heard, selectors.EVENT_READ)
        gc.collect()
        gc.freeze()  # the collector would touch, and so copy, what the workers share
        try:
            self._fill_seats()
            while self._workers or not self._stopping:
                self._turn(heard)
            return self._status
        finally:
            signal.set_wakeup_fd(woken_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(heard)
            os.close(wakes)

    def _turn(self, heard: int) -> None:
        for worker in self._workers:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.channel.backlog else 0)
            with contextlib.suppress(KeyError):  # one that has said its last word
                self._selector.modify(worker.channel, wanted, worker)
        signals = b""
        for key, events in self._selector.select(TICK_S):
            if key.data is None:
                signals = os.read(heard, 512)
            elif events & selectors.EVENT_WRITE:
                key.data.channel.flush()
            else:
                self._hear(key.data)
        for number in signals:
            if number == signal.SIGHUP:
                self._check()
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
        self._reap()
        self._census.tick()
        if not self._stopping:
            self._fill_seats()
            self._look()
        elif monotonic() >= self._kill_at_s:
            self._kill_at_s = float("inf")
            log.error("%d workers did not end and are killed", len(self._workers))
            self._status = 1
            for worker in self._workers:
                os.kill(worker.pid, signal.SIGKILL)

    # ------------------------------------------------------------------ workers

    def _fill_seats(self) -> None:
        now = monotonic()
        for seat in self._seats:
            if seat.empty and now >= seat.start_at_s:
                self._start(seat)

    def _start(self, seat: Seat) -> None:
        if not seat.sockets:
            try:
                for _ in range(self._settings.server.listeners):
                    seat.sockets.append(listener(self._family, self._address, shared=True))
            except ConfigError as error:
                log.error("worker %d: %s", seat.number, error)
                seat.start_at_s = monotonic() + MOST_DELAY_S
                return
        ours, theirs = socket.socketpair()

        def work() -> int:
            ours.close()
            for other in self._workers:
                other.channel.close()
            for other_seat in self._seats:
                if other_seat is not seat:
                    for sock in other_seat.sockets:
                        sock.close()
            self._let_go()
            return self._source.work(self._settings, seat.sockets, theirs)

        pid = fork(work)
        theirs.close()
        seat.empty = False
        worker = Worker(pid, seat, Channel(ours), monotonic())
        self._workers.append(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _let_go(self) -> None:
        """In a forked process: of what is the supervisor's own."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for end in self._wakeup:
            os.close(end)

    def _hear(self, worker: Worker) -> None:
        messages = worker.channel.receive()
        if messages is None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(worker.channel)
            return
        for message in messages:
            self._handle(worker, message)

    def _handle(self, worker: Worker, message: ToSupervisor) -> None:
        match message:
            case Ready():
                worker.ready = True
                if not self._established and sum(w.ready for w in self._workers) == len(self._seats):
                    self._established = True
                    if not self._stopping:
                        say_ready(worker.seat.sockets[0])
            case Report(families):
                self._census.report(worker, families)
            case Totals():
                self._census.ask(worker)
            case Leaving() if not self._stopping and not worker.leaving:
                log.warning(
                    "worker %d (process %d) was asked to end; another takes over", worker.seat.number, worker.pid
                )
                worker.leaving = True
                self._census.replaced += 1
                self._start(worker.seat)

    def _reap(self) -> None:
        for worker in list(self._workers):
            pid, wait_status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                while messages := worker.channel.receive():  # its last words
                    for message in messages:
                        self._handle(worker, message)
                self._gone(worker, os.waitstatus_to_exitcode(wait_status))
        if self._checking is not None:
            pid, wait_status = os.waitpid(self._checking, os.WNOHANG)
            if pid:
                self._checking = None
                self._checked(os.waitstatus_to_exitcode(wait_status) == 0)

    def _gone(self, worker: Worker, code: int) -> None:
        self._workers.remove(worker)
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.channel)
        self._census.gone(worker)
        worker.channel.close()
        if self._stopping or worker.leaving:
            return
        how = status_of(code)
        if not self._established:
            log.error("worker %d (process %d) %s before it took requests", worker.seat.number, worker.pid, how)
            self._stop()
            self._status = code if code > 0 else 1
            return
        seat, now = worker.seat, monotonic()
        self._census.replaced += 1
        seat.empty = True
        seat.failures = 0 if worker.ready and now - worker.since_s >= LIVED_S else seat.failures + 1
        delay_s = min(MOST_DELAY_S, 2.0 ** (seat.failures - 2)) if seat.failures > 1 else 0.0
        seat.start_at_s = now + delay_s
        if delay_s:  # nobody listens for so long: let the kernel give connections to the others
            for sock in seat.sockets:
                sock.close()
            seat.sockets.clear()
        log.error("worker %d (process %d) %s; another starts in %g s", seat.number, worker.pid, how, delay_s)

    # ------------------------------------------------------------------ the end

    def _stop(self) -> None:
        """The first time in peace, the second time at once."""
        server = self._settings.server
        message: Stop | StopNow = Stop()
        limit_s = server.drain_delay_s + server.drain_timeout_s + CUT_OFF_S
        if self._stopping:
            message, limit_s = StopNow(), 0.0
        self._stopping = True
        self._kill_at_s = monotonic() + limit_s + KILL_AFTER_S
        for seat in self._seats:  # the workers have them too, and close them when they take no more
            for sock in seat.sockets:
                sock.close()
            seat.sockets.clear()
        for worker in self._workers:
            worker.channel.send(message)

    # ------------------------------------------------------------------ the configuration

    def _look(self) -> None:
        now = monotonic()
        if now >= self._look_at_s:
            self._look_at_s = now + POLL_S
            if self._watch.changed():
                self._check()

    def _check(self) -> None:
        """See in a process of its own whether the file will do, so that all workers take it or none."""
        if self._stopping:
            return
        if self._checking is not None:
            self._check_again = True
            return
        self._watch.taken()

        def check() -> int:
            self._let_go()
            self._source.check()
            return 0

        self._checking = fork(check)

    def _checked(self, good: bool) -> None:
        if self._check_again:
            self._check_again = False
            self._check()
            return
        if not good:
            log.error("configuration: refused, the old one stays in force")
            return
        try:
            self._settings, _ = keep_fixed(self._source.read(), self._settings)
        except ConfigError as error:  # changed since: the next look finds that
            log.error("configuration: refused, the old one stays in force: %s", error)
            return
        for worker in self._workers:
            worker.channel.send(Reload())


def _noted(sig: int, frame: FrameType | None) -> None:
    """The wakeup descriptor says it: nothing is done between two instructions."""
