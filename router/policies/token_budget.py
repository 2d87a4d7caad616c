"""Raises the threshold as a budget of thinking tokens runs low. Knows tokens and time; knows no tenant and no request.

The budget flows into a small store at a steady rate, and every thinking takes from it. As the store empties the
threshold rises, smoothly and up to where no score reaches it, so that judged requests slow down before there is nothing
left. A store that fills evenly has no memory of what was spent an hour ago, unlike a window that slides: the loop is of
the first order and cannot swing.

Several gateways share one budget: the whole of it flows into each one's store, and each takes out what all have spent,
the others' share as it hears of it. All stores then hold the same, but for what was spent in between.
"""

from dataclasses import dataclass

from router.policies.in_force import NEVER
from router.policies.peers import Heard, Word

_LOW = 0.5
"""Room below which the threshold rises."""
_FIRST_GUESS = 1000.0
_EXPECTS_BY = 0.05
_APART = 0.05
"""Stores may differ by this share of their size: by what flowed in, or was spent, while words were under way."""
_AGREE = 0.05
"""The part of what is beyond it that the fuller store gives up at each exchange."""
"""Weight of one request in what a thinking is expected to take."""


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """Thinking tokens a minute and an hour (None: not limited). `burst` is the share of a budget that may be spent at
    once; the rest flows in evenly, so that no span of a minute or hour holds more than the budget. `tenants`: does
    what is left of the caller's own thinking tokens count too?"""

    per_minute: int | None = None
    per_hour: int | None = None
    burst: float = 0.1
    tenants: bool = False


def margin_of(room: float) -> float:
    """What is added to the threshold where `room` (1: full, 0: empty) is left: nothing above a half, then with the
    square of what is missing, until no score reaches the threshold."""
    missing = min(1.0, max(0.0, (_LOW - room) / _LOW))
    return NEVER * missing * missing


class BudgetPacer:
    """One budget: `limit` tokens in `period_s` seconds. Times are monotonic seconds."""

    __slots__ = ("_agrees", "_at_s", "_capacity", "_level", "_per_s", "_spent", "expected")

    def __init__(self, limit: int, period_s: float, burst: float) -> None:
        self._capacity = self._level = limit * burst
        self._per_s = limit * (1.0 - burst) / period_s
        self._at_s: float | None = None
        self._spent = 0.0
        self._agrees = False
        self.expected = _FIRST_GUESS

    def room(self, now_s: float) -> float:
        """The share of the store that is full; below 0 where more was taken than was there."""
        if self._at_s is None:
            self._at_s = now_s
        elif now_s > self._at_s:
            self._level = min(self._capacity, self._level + (now_s - self._at_s) * self._per_s)
            self._at_s = now_s
        return self._level / self._capacity

    def take(self, now_s: float) -> float:
        """A request begins to think: take what it is expected to use, which nobody knows yet. The tokens taken."""
        self.room(now_s)
        self._level -= self.expected
        self._spent += self.expected
        return self.expected

    def settle(self, taken: float, tokens: int, now_s: float) -> None:
        """It has ended, and used so many tokens instead."""
        self.room(now_s)
        self._level = min(self._capacity, self._level + taken - tokens)
        self._spent += tokens - taken
        if tokens:
            self.expected += (tokens - self.expected) * _EXPECTS_BY

    def tell(self, now_s: float) -> Word:
        """Tokens spent here, and those that are left in the store."""
        self.room(now_s)
        return (self._spent, self._level)

    def hear(self, others: Heard, now_s: float) -> None:
        """Take out what the others have spent since the last time; and where a store that all fill alike holds more
        than another, it is the other that knows."""
        if not others:
            return
        self.room(now_s)
        spent = sum(now[0] - before[0] for before, now in others if before is not None)
        self._level = min(self._capacity, self._level - spent)
        lowest = min(now[1] for _, now in others)
        if not self._agrees:  # who comes new begins with what the others have left
            self._level = min(self._level, lowest)
        self._agrees = True
        self._level -= _AGREE * max(0.0, self._level - lowest - _APART * self._capacity)

    def succeed(self, old: "BudgetPacer") -> None:
        """Take over after a reload: as full as the old one was, and as experienced."""
        self._level = self._capacity * old._level / old._capacity
        self._at_s = old._at_s
        self._spent = old._spent
        self._agrees = old._agrees
        self.expected = old.expected
