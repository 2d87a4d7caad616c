"""How many requests may be sent again. Knows counts and time; knows no request.

Retries multiply the load just when a pool can bear it least; a budget as a share of the requests bounds that
(as in Finagle and Envoy).
"""

from app.pools.settings import Retries

WINDOW_S = 10.0
_REFRESH_S = 1.0


class RetryBudget:
    """`requests` is counted up for every request: the only cost while nothing fails. Times are monotonic seconds."""

    __slots__ = ("_at_least", "_recent", "_share", "_since_s", "_tokens", "requests")

    def __init__(self, settings: Retries, now_s: float) -> None:
        self._share = settings.share
        self._at_least = settings.at_least
        self._recent = 0.0  # requests of about the last WINDOW_S seconds
        self._tokens = float(settings.at_least)
        self._since_s = now_s
        self.requests = 0

    def take(self, now_s: float) -> bool:
        """Is there a retry left? If so it is taken."""
        elapsed_s = now_s - self._since_s
        if elapsed_s >= _REFRESH_S:
            new, self.requests = self.requests, 0
            self._since_s = now_s
            self._recent = new * min(1.0, WINDOW_S / elapsed_s) + self._recent * max(0.0, 1.0 - elapsed_s / WINDOW_S)
            earned = self._at_least * elapsed_s / WINDOW_S + self._share * new
            self._tokens = min(self._at_least + self._share * self._recent, self._tokens + earned)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
