"""What one key or tenant uses, and whether it may use more. Knows limits; knows no key and no request."""

from collections.abc import Iterator

from app.errors import RateLimited
from app.limits.settings import Limits
from app.limits.window import Window

MINUTE_S, HOUR_S = 60.0, 3600.0


class Account:
    """`whose` is for messages: `key` or `tenant`. Constant work a request, and constant memory. `window` makes its
    windows, which may be more than one gateway's."""

    __slots__ = ("_concurrent", "_requests", "_thinking", "_tokens", "_whose", "_window", "elsewhere", "in_flight")

    def __init__(self, whose: str, limits: Limits, window: type[Window] = Window) -> None:
        self._whose = whose
        self._window = window
        self.in_flight = 0
        self.elsewhere = 0
        """What other gateways have in flight for it, as far as is known."""
        self._concurrent: int | None = None
        self._requests: Window | None = None
        self._tokens: tuple[tuple[Window, str], ...] = ()
        self._thinking: Window | None = None
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Other limits from now on; what was used stays used, where it is limited as before."""
        self._concurrent = limits.concurrent
        self._requests = self._changed(self._requests, limits.requests_per_minute, MINUTE_S)
        known = {name: window for window, name in self._tokens}
        windows = (
            (self._changed(known.get("minute"), limits.tokens_per_minute, MINUTE_S), "minute"),
            (self._changed(known.get("hour"), limits.tokens_per_hour, HOUR_S), "hour"),
        )
        self._tokens = tuple((window, name) for window, name in windows if window is not None)
        self._thinking = self._changed(self._thinking, limits.thinking_tokens_per_hour, HOUR_S)

    def check(self, now_s: float) -> None:
        """May another request come? Counts nothing. Raises RateLimited."""
        requests = self._requests
        if requests is not None and (wait_s := requests.wait_s(now_s)):
            raise self._over(f"{requests.limit} requests per minute", wait_s)
        for window, name in self._tokens:
            if wait_s := window.wait_s(now_s):
                raise self._over(f"{window.limit} tokens per {name}", wait_s)

    def count(self, now_s: float) -> None:
        """A request has come."""
        if self._requests is not None:
            self._requests.add(1.0, now_s)

    def check_room(self) -> None:
        """May another request be in flight? Raises RateLimited."""
        if self._concurrent is not None and self.in_flight + self.elsewhere >= self._concurrent:
            raise self._over(f"{self._concurrent} requests at once", 1.0)

    def may_think(self, now_s: float) -> bool:
        """Are there thinking tokens left?"""
        return self._thinking is None or self._thinking.used(now_s) < self._thinking.limit

    def thinking_room(self, now_s: float) -> float:
        """The share of the thinking tokens that is left, in [0, 1]; 1 where they are not limited."""
        window = self._thinking
        return 1.0 if window is None else max(0.0, 1.0 - window.used(now_s) / window.limit)

    def check_thinking(self, now_s: float) -> None:
        """Are there thinking tokens left? Raises RateLimited."""
        window = self._thinking
        if window is not None and (wait_s := window.wait_s(now_s)):
            raise self._over(f"{window.limit} thinking tokens per hour", wait_s)

    def use(self, tokens: int, thinking: int, now_s: float) -> None:
        """A request has used so many tokens in all, and so many of them for thinking."""
        for window, _ in self._tokens:
            window.add(tokens, now_s)
        if self._thinking is not None and thinking:
            self._thinking.add(thinking, now_s)

    def _over(self, limit: str, wait_s: float) -> RateLimited:
        seconds = max(1, int(wait_s) + (wait_s > int(wait_s)))
        return RateLimited(f"The limit of this {self._whose}, {limit}, is reached.", retry_after_s=seconds)

    @property
    def bounds_flights(self) -> bool:
        """Does it matter how many are in flight?"""
        return self._concurrent is not None

    def windows(self) -> Iterator[tuple[str, Window]]:
        """Its windows, each with a name that stays the same."""
        if self._requests is not None:
            yield "requests", self._requests
        for window, name in self._tokens:
            yield f"tokens-{name}", window
        if self._thinking is not None:
            yield "thinking", self._thinking

    def _changed(self, window: Window | None, limit: int | None, span_s: float) -> Window | None:
        if limit is None:
            return None
        if window is None:
            return self._window(limit, span_s)
        window.limit = limit
        return window
