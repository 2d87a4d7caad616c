"""What the other mode would have used, measured by shadows. Pure arithmetic; knows no store and no wire.

A shadow and its client's answer are a pair: the mean of their differences needs no like requests to compare with. Its
interval is that of a mean, ± 1.96 standard errors; shadows are drawn by chance, but only while there was room.
"""

from collections.abc import Iterable
from math import sqrt

import msgspec

from app.decisions.savings import Z
from app.decisions.shadow import ShadowSum
from router.mode import Mode

ENOUGH_PAIRS = 10
"""Fewer tell neither mean nor scatter."""


class Difference(msgspec.Struct, frozen=True):
    """What the other mode used more than the client's answer, an answer (negative: less), with its 95 % interval."""

    mean: float
    low: float
    high: float


class Measured(msgspec.Struct, frozen=True):
    """`pairs` shadows in one mode; both differences are None where there are too few."""

    pairs: int
    tokens: Difference | None
    seconds: Difference | None


def measured(sums: Iterable[ShadowSum]) -> dict[str, Measured]:
    """By the shadows' mode: under `thinking`, what thinking used more than the instruct answers that clients got."""
    sums = list(sums)
    found = {}
    for mode in Mode:
        own = [one for one in sums if one.mode is mode]
        pairs = sum(one.pairs for one in own)
        found[mode.value] = Measured(
            pairs,
            _difference(pairs, sum(one.tokens for one in own), sum(one.tokens_squared for one in own)),
            _difference(pairs, sum(one.seconds for one in own), sum(one.seconds_squared for one in own)),
        )
    return found


def _difference(pairs: int, total: float, squares: float) -> Difference | None:
    if pairs < ENOUGH_PAIRS:
        return None
    mean = total / pairs
    half = Z * sqrt(max(0.0, squares - total * mean) / (pairs - 1) / pairs)
    return Difference(round(mean, 3), round(mean - half, 3), round(mean + half, 3))
