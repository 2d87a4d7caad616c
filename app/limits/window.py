"""How much was used in the last minute or hour. Knows counts and time; knows nobody who uses.

Two counters approximate a sliding window: what was used in the span before counts by the share of it that the window
still covers. Constant in time and memory, never above the limit by more than what one span's unevenness hides.
"""


class Window:
    """Up to `limit` in `span_s` seconds. `now_s` is monotonic and may stand still, but not go back."""

    __slots__ = ("_before", "_now", "_span_s", "_start_s", "limit")

    def __init__(self, limit: int, span_s: float) -> None:
        self.limit = limit
        self._span_s = span_s
        self._start_s = 0.0
        self._now = 0.0
        self._before = 0.0

    def add(self, amount: float, now_s: float) -> None:
        """So much has been used."""
        if now_s - self._start_s >= self._span_s:
            self._turn(now_s)
        self._now += amount

    def used(self, now_s: float) -> float:
        """What the window holds."""
        past_s = now_s - self._start_s
        if past_s >= self._span_s:
            self._turn(now_s)
            past_s = now_s - self._start_s
        return self._now + self._before * (1.0 - past_s / self._span_s)

    def wait_s(self, now_s: float, need: float = 1.0) -> float:
        """How long until `need` more may be used; 0.0 where that is now. At most two spans."""
        if self.used(now_s) + need <= self.limit:
            return 0.0
        span_s, room = self._span_s, max(0.0, self.limit - need)
        if self._now <= room:  # what was used in the span before moves out of the window soon enough
            share = 1.0 - (room - self._now) / self._before
            return max(0.0, self._start_s + share * span_s - now_s)
        share = 1.0 - room / self._now
        return max(0.0, self._start_s + (1.0 + share) * span_s - now_s)

    def _turn(self, now_s: float) -> None:
        spans = int((now_s - self._start_s) / self._span_s)
        self._before = self._now if spans == 1 else 0.0
        self._now = 0.0
        self._start_s = now_s if spans > 1 else self._start_s + self._span_s
