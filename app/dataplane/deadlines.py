"""Time limits of everything in flight, kept by one timer. Knows a clock; knows nothing of what it limits.

A timer for each request, armed again at each event, would cost more than relaying; here a deadline is an attribute.
A process that stood still (a machine that was paused or moved) finds everything late at once, and what has come
meanwhile unread: it reads that first, and calls nobody late before the next look.
"""

import asyncio
import time
from typing import Protocol

TICK_S = 0.25
STOOD_STILL_S = 0.5
"""A look that comes later than this has been kept from it."""


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
        self._look_s = 0.0  # when the next look is due
        self._put_off = False

    def __len__(self) -> int:
        return len(self._kept)

    def kept(self) -> list[Limited]:
        """All that is watched now."""
        return list(self._kept)

    def keep(self, limited: Limited) -> None:
        """Watch it until `drop`, or until it expires."""
        self._kept.add(limited)
        if not self._ticking:
            self._ticking = True
            self._look_later()

    def drop(self, limited: Limited) -> None:
        """No longer watch it."""
        self._kept.discard(limited)

    def _look_later(self) -> None:
        self._look_s = time.monotonic() + TICK_S
        asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        self._put_off = not self._put_off and now - self._look_s > STOOD_STILL_S
        if not self._put_off:
            for limited in [x for x in self._kept if x.deadline_s <= now]:
                self._kept.discard(limited)
                limited.expire()
        self._ticking = bool(self._kept)
        if self._ticking:
            self._look_later()
