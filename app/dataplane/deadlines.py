"""Time limits of everything in flight, kept by one timer. Knows a clock; knows nothing of what it limits.

A timer for each request, armed again at each event, would cost more than relaying; here a deadline is an attribute.
"""

import asyncio
import time
from typing import Protocol

TICK_S = 0.25


class Limited(Protocol):
    """Something with a deadline: `deadline_s` on the monotonic clock."""

    deadline_s: float

    def expire(self) -> None:
        """The deadline has passed. Called once: it is no longer kept."""
        ...


class Deadlines:
    """Looks four times a second at all that is kept; runs no timer while there is nothing."""

    def __init__(self) -> None:
        self._kept: set[Limited] = set()
        self._ticking = False

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, limited: Limited) -> None:
        """Watch it until `drop`, or until it expires."""
        self._kept.add(limited)
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def drop(self, limited: Limited) -> None:
        """No longer watch it."""
        self._kept.discard(limited)

    def _tick(self) -> None:
        now = time.monotonic()
        for limited in [x for x in self._kept if x.deadline_s <= now]:
            self._kept.discard(limited)
            limited.expire()
        self._ticking = bool(self._kept)
        if self._ticking:
            asyncio.get_running_loop().call_later(TICK_S, self._tick)
