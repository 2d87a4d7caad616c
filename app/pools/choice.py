"""Which of several replicas. Knows loads and a session's hash; knows no health and no connection.

A session goes to the replica that its hash ranks highest (rendezvous hashing, Thaler and Ravishankar 1998: nothing is
remembered, and a replica that comes or goes moves its own sessions only), since its prefix is in that replica's cache.
Where that one is clearly busier than another, and for requests without a session, the lesser load of two drawn at
random is taken (Mitzenmacher 2001: almost as good as the least loaded of all, without herding).
"""

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

BUSIER_BY = 4.0
BUSIER_FACTOR = 1.25
"""A preferred replica is clearly busier above FACTOR * the other's load + BY requests: a cached prefix is worth some
waiting, but not much (bounded loads, Mirrokni et al. 2018, use 1.25)."""

_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = 0xFFFF_FFFF_FFFF_FFFF


class Loaded(Protocol):
    """A candidate: requests in flight, what the backend has beyond them, and a constant of its own for hashing."""

    in_flight: int
    load_beyond: float
    salt: int


C = TypeVar("C", bound=Loaded)


class Choice:
    """Chooses; `seed` makes the draws repeatable."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed).random

    def of(self, candidates: Sequence[C], affinity: int = 0) -> C:
        """One of at least one candidates. `affinity` is a hash of the session, 0 for none."""
        count = len(candidates)
        if count == 1:
            return candidates[0]
        first = int(self._random() * count)
        if affinity:
            # Python's own hash of the two is far from even; a product with the golden ratio's bits is.
            preferred = max(candidates, key=lambda c: ((affinity ^ c.salt) * _GOLDEN) & _64_BITS)
            other = candidates[first]
            if other is preferred:
                other = candidates[first - 1]
            limit = (other.in_flight + other.load_beyond) * BUSIER_FACTOR + BUSIER_BY
            if preferred.in_flight + preferred.load_beyond <= limit:
                return preferred
        second = int(self._random() * (count - 1))
        if second >= first:
            second += 1
        a, b = candidates[first], candidates[second]
        return a if a.in_flight + a.load_beyond <= b.in_flight + b.load_beyond else b
