"""What is old enough to be forgotten, by a clock that may be wrong. Knows time; knows no store.

What is deleted cannot be had back, and a clock that jumps a year ahead makes everything old. So a clock that has
jumped, in whichever direction, is not believed for a day: the log keeps more than it should meanwhile, never less.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger("thinkgate")
JUMP_S: Final = 60.0
"""By this much the clock of the day may run away from the steady one between two looks: it is being corrected."""

DISTRUST_S: Final = 86_400.0


class Retention:
    """Rows are kept for `keep_s` seconds. `now` and `steady` are the clock of the day and one that never jumps."""

    def __init__(
        self, keep_s: float, now: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_s = keep_s
        self._now = now
        self._steady = steady
        self._ahead_s = now() - steady()
        self._believed_from_s = float("-inf")

    def before_s(self) -> float | None:
        """What is older than this may go (Unix time); None while the clock is not believed."""
        now_s, steady_s = self._now(), self._steady()
        jump_s = now_s - steady_s - self._ahead_s
        self._ahead_s += jump_s
        if abs(jump_s) > JUMP_S:
            self._believed_from_s = steady_s + DISTRUST_S
            log.warning("decision log: the clock has jumped by %.0f s; nothing is deleted for a day", jump_s)
        return None if steady_s < self._believed_from_s else now_s - self._keep_s
