"""The thread that empties the log's queue into the store. Knows queue and store; knows no request.

Every second, or when a batch is full, what waits is written in transactions of at most one batch. Where the store fails
the batch is kept and tried again; meanwhile the queue fills, and beyond its capacity the log drops. A process that is
killed loses what waited: a second's worth.
"""

import logging
import threading
import time
from collections import deque

from app.decisions.record import DecisionRecord
from app.decisions.retention import Retention
from app.decisions.store import DecisionStore, StoreError
from app.metrics.instruments import Tally

log = logging.getLogger("thinkgate")
BATCH_ROWS = 500
FORGET_ROWS = 2 * BATCH_ROWS  # a step deletes more than a step writes: deleting keeps up under any load
_COMPLAIN_EVERY_S = 60.0
_FORGET_EVERY_S = 60.0
_LAST_BATCH_LIMIT_S = 10.0


class Bell:
    """Wakes one thread. Ringing never waits: `threading.Event.set` takes a lock that the woken thread may hold."""

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or that will wait next."""
        if self._silent.locked():
            try:
                self._silent.release()
            except RuntimeError:  # somebody else rang at the same moment
                pass

    def wait(self, limit_s: float) -> None:
        """Until it rings."""
        self._silent.acquire(timeout=limit_s)


class Writer:
    """Writes `queue` to `store`. `refused` counts records that the store can never keep; nobody else counts there."""

    def __init__(
        self, queue: deque[DecisionRecord], store: DecisionStore, *, keep_s: float, flush_s: float, refused: Tally
    ) -> None:
        self._queue = queue
        self._store = store
        self._retention = Retention(keep_s)
        self._flush_s = flush_s
        self._refused = refused
        self._batch: list[DecisionRecord] = []  # taken from the queue and not yet kept
        self._flushes: deque[threading.Event] = deque()
        self._bell = Bell()
        self._stopping = False
        self._failing = False
        self._complained_s = self._forgot_s = float("-inf")
        # Not waited for at the interpreter's end: a disk that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)

    def start(self) -> None:
        """Start the thread; the store is opened there."""
        self._thread.start()

    def wake(self) -> None:
        """There is a batch to write. Never waits."""
        self._bell.ring()

    def flush(self, limit_s: float) -> None:
        """Returns when everything that waits now has been tried, or after `limit_s`. Not for the event loop."""
        if self._thread.is_alive():
            done = threading.Event()
            self._flushes.append(done)
            self._bell.ring()
            done.wait(limit_s)

    def stop(self) -> None:
        """Write what is left and end. Not for the event loop."""
        self._stopping = True
        if self._thread.is_alive():
            self._bell.ring()
            self._thread.join(_LAST_BATCH_LIMIT_S)
        lost = len(self._queue) + len(self._batch)
        if lost:
            log.error("decision log: the last %d decisions could not be written", lost)

    def _run(self) -> None:
        while True:
            last = self._stopping  # read before the turn: what came while it ran is not left behind
            self._turn()
            if last:
                break
            if self._failing or len(self._queue) < BATCH_ROWS:
                self._bell.wait(self._flush_s)
        self._store.close()

    def _turn(self) -> None:
        flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
        try:
            self._write(len(self._batch) + len(self._queue))
            self._forget()
            if self._failing:
                self._failing = False
                self._complained_s = float("-inf")
                log.warning("decision log: written again")
        except StoreError as error:
            self._failing = True
            self._complain(f"cannot be written, will be tried again: {error}")
        except Exception as error:  # a fault of ours: whatever it is, it must not come back with the same batch
            self._refused.inc(len(self._batch))
            self._batch = []
            self._complain(f"internal error: {type(error).__name__}")
        finally:
            for done in flushes:
                done.set()

    def _write(self, rows: int) -> None:
        """What waited when the turn began; what comes meanwhile waits for the next, lest single rows be committed."""
        while rows > 0:
            if not self._batch:
                self._batch = [self._queue.popleft() for _ in range(min(rows, BATCH_ROWS))]
            refused = self._store.write(self._batch)
            if refused:
                self._refused.inc(refused)
            rows -= len(self._batch)
            self._batch = []

    def _forget(self) -> None:
        if time.monotonic() - self._forgot_s < _FORGET_EVERY_S:
            return
        before_s = self._retention.before_s()
        if before_s is None or self._store.forget(before_s, FORGET_ROWS) < FORGET_ROWS:
            self._forgot_s = time.monotonic()

    def _complain(self, what: str) -> None:
        now_s = time.monotonic()
        if now_s - self._complained_s >= _COMPLAIN_EVERY_S:
            self._complained_s = now_s
            log.error("decision log: %s (%d decisions wait)", what, len(self._batch) + len(self._queue))
