"""A bounded queue that a thread empties every second. Knows time and threads; knows nothing of what it carries.

Nothing here fails or delays a request: what finds the queue full is dropped and counted, and what cannot be delivered
now is tried again while there is room.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from app.metrics.instruments import Tally

log = logging.getLogger("thinkgate")
CAPACITY = 10_000
EVERY_S = 1.0
BATCH = 512
STOP_LIMIT_S = 5.0
_COMPLAIN_EVERY_S = 60.0

T = TypeVar("T")


class Undelivered(Exception):
    """A batch could not be delivered now. `again`: it may be tried again; else it is lost. The message holds nothing of
    a client's."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class Outbox(Generic[T]):
    """`append` is for the event loop; `deliver` is called in the thread with at most `BATCH` items, and may raise
    Undelivered."""

    def __init__(
        self,
        name: str,
        deliver: Callable[[list[T]], None],
        dropped: Tally,
        *,
        capacity: int = CAPACITY,
        every_s: float = EVERY_S,
    ) -> None:
        self._name = name
        self._deliver = deliver
        self._dropped = dropped
        self._capacity = capacity
        self._every_s = every_s
        self._queue: deque[T] = deque()
        self._batch: list[T] = []
        self._stopping = threading.Event()
        self._complained_s = float("-inf")
        # Not waited for at the interpreter's end: a disk or a collector that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, name=name.replace(" ", "-"), daemon=True)

    def append(self, item: T) -> None:
        """Deliver it soon. Never waits, never raises."""
        if len(self._queue) >= self._capacity:
            self._dropped.inc()
        else:
            self._queue.append(item)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    async def stop(self) -> None:
        """Deliver what waits, within `STOP_LIMIT_S` seconds, and end."""
        self._capacity = 0
        self._stopping.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, STOP_LIMIT_S)

    def _run(self) -> None:
        while True:
            last = self._stopping.wait(self._every_s)
            while self._batch or self._queue:
                if not self._turn():
                    break
            if last:
                return

    def _turn(self) -> bool:
        """One batch; whether to go on at once."""
        if not self._batch:
            self._batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        try:
            self._deliver(self._batch)
        except Undelivered as error:
            self._complain(str(error))
            if error.again:
                return False
            self._dropped.inc(len(self._batch))
        except Exception as error:  # a fault of ours: it must not come back with the same batch
            self._complain(f"internal error: {type(error).__name__}")
            self._dropped.inc(len(self._batch))
        self._batch = []
        return True

    def _complain(self, what: str) -> None:
        now_s = time.monotonic()
        if now_s - self._complained_s >= _COMPLAIN_EVERY_S:
            self._complained_s = now_s
            log.error("%s: %s (%d wait)", self._name, what, len(self._batch) + len(self._queue))
