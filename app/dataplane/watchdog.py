"""A time limit that costs nothing when it is touched. Knows a clock; knows nothing of what it watches."""

import asyncio
import time
from collections.abc import Callable


class Watchdog:
    """Calls `expired` once nothing has touched it for the limit. Touching is an assignment: `dog.last_s = now_s`.

    One timer at a time; where it finds that it was touched meanwhile, it sleeps for the rest.
    """

    __slots__ = ("_expired", "_loop", "_timer", "last_s", "limit_s")

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self.limit_s = limit_s
        self.last_s = time.monotonic()
        self._timer = loop.call_later(limit_s, self._check)

    def relimit(self, limit_s: float) -> None:
        """Another limit from now on."""
        self.limit_s = limit_s
        self.last_s = time.monotonic()
        self._timer.cancel()
        self._timer = self._loop.call_later(limit_s, self._check)

    def stop(self) -> None:
        """No longer watch."""
        self._timer.cancel()

    def _check(self) -> None:
        rest_s = self.last_s + self.limit_s - time.monotonic()
        if rest_s <= 0.001:
            self._expired()
        else:
            self._timer = self._loop.call_later(rest_s, self._check)
