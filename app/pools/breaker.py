"""A circuit breaker for one replica. Knows successes, failures and time; knows no request and no connection.

Closed: requests go. Open: none go, for a time that doubles with every opening. Half open: one request may try; where
its answer begins the breaker closes, where it fails it opens again (Nygard, Release It!, 2007; outlier ejection in
Envoy).
"""

from app.pools.settings import Health

PROBE_S = 10.0
"""A probe that has not answered after so long no longer keeps others from trying: it may just be thinking."""


class Breaker:
    """`closed` is kept as an attribute, since it is read for every request. Times are monotonic seconds."""

    __slots__ = ("_after", "_closed_at_s", "_failures", "_first_s", "_max_s", "_openings", "_retry_at_s", "closed")

    def __init__(self, settings: Health) -> None:
        self._after = settings.eject_after
        self._first_s = settings.eject_s
        self._max_s = max(settings.eject_s, settings.eject_max_s)
        self._failures = 0
        self._openings = 0
        self._retry_at_s = 0.0
        self._closed_at_s = 0.0
        self.closed = True

    def answering(self, now_s: float) -> None:
        """An answer begins: others may go as well, but one failure is enough to open the breaker again."""
        if not self.closed:
            self.closed = True
            self._closed_at_s = now_s
            self._failures = self._after - 1

    def succeeded(self, now_s: float) -> None:
        """A request was answered, to the end."""
        self._failures = 0
        if not self.closed:
            self.closed = True
            self._closed_at_s = now_s

    def failed(self, now_s: float) -> bool:
        """A request was not answered, or broke off; whether that has opened the breaker."""
        self._failures += 1
        if not self._after or (self.closed and self._failures < self._after):
            return False
        if self.closed and now_s - self._closed_at_s > self._max_s:
            self._openings = 0  # it has been well for long: old troubles are forgotten
        elif not self.closed and now_s < self._retry_at_s and self._openings:
            return False  # it was sent before the breaker opened
        self.closed = False
        self._openings += 1
        self._retry_at_s = now_s + min(self._max_s, self._first_s * 2.0 ** min(self._openings - 1, 30))
        return True

    def may_try(self, now_s: float) -> bool:
        """While open: is it time that a request tries?"""
        return not self.closed and now_s >= self._retry_at_s

    def trying(self, now_s: float) -> None:
        """A request tries; others wait for its end, but not for ever."""
        self._retry_at_s = now_s + PROBE_S

    def given_up(self, now_s: float) -> None:
        """The request that tried has ended without a verdict (its client left): the next may try."""
        if not self.closed:
            self._retry_at_s = min(self._retry_at_s, now_s)
