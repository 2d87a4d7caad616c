"""What the order at either end of a text does with the rest of it. Knows where meanings stand; knows no words.

"Translate into French: prove that …" is easy however hard the text is that it hands over; "solve the following: …" is
not. A sum over words cannot say so. So the meanings of the lexicon that stand among the first or last tokens set a
factor between 0 and 2 by which the words of the whole text count, and push the score themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.judges.ngrams import STEM_CHARS, Grams, Hashes, Positions

ORDER_TOKENS: Final = 16
"""How far from either end a meaning is still seen as an order; the nearer, the more it counts."""

BEYOND_A_MARK: Final = 0.25
"""How much less an order counts behind a colon, a quotation mark or a line's end than before it (seen from the start),
and before a line's end than behind it (seen from the end): what stands there is mostly the text that is handed over."""

_NEWLINE: Final = 10
_MARKS: Final = frozenset(map(ord, '\n:："“「『«`'))

MAX_CONCEPTS: Final = 64
_EMPTY: Final = 0xFFFFFFFF

Meanings = Mapping[int, Sequence[tuple[int, float]]]
"""Hash bucket -> (number of the concept, share of a whole term that the bucket stands for) of each of its concepts."""


@dataclass(frozen=True, slots=True)
class OrderWeights:
    """`pushing` and `turning`: `float64[2 * concepts]`, first for the start of a text, then for its end; `bias` is the
    factor's log-odds where no order stands."""

    pushing: NDArray[np.float64]
    turning: NDArray[np.float64]
    bias: float

    def packed(self) -> bytes:
        """As `_scan.c` takes them: pushing, turning, bias, all doubles."""
        return np.concatenate((self.pushing, self.turning, [self.bias])).astype(np.float64).tobytes()


@dataclass(frozen=True, slots=True)
class Slots:
    """Meanings as an open hash table for `_scan.c`: `keys` are buckets, `0xFFFFFFFF` an empty slot; a bucket of several
    concepts has several slots. The number of slots is a power of two, more than half of them empty."""

    keys: bytes
    concepts: bytes
    shares: bytes


def factor_of(turned: float) -> float:
    """By how much the words count, in (0, 2), from the log-odds."""
    return 2.0 / (1.0 + exp(-max(-40.0, min(40.0, turned))))


def last_token_of_each(grams: Grams) -> Positions:
    """For each entry of `grams.hashes`, the index of its last token."""
    order = np.arange(grams.tokens)
    long = ((grams.ends - grams.starts) > STEM_CHARS).nonzero()[0]
    return np.concatenate((order, order[1:], order[2:], long))


def nearness_of_each(grams: Grams) -> tuple[list[float], list[float]]:
    """How near each token is to the start and to the end, in [0, 1], across no or few marks; bounded by the ends."""
    size = grams.tokens
    start, end = [0.0] * size, [0.0] * size
    alone = (grams.ends - grams.starts) == 1
    codes = np.where(alone, grams.codes.take(grams.starts, mode="clip"), 0) if size else grams.codes
    share = 1.0
    quoted = size  # where a colon or quotation mark opens what is handed over
    for token in range(min(size, ORDER_TOKENS)):
        start[token] = share * (1.0 - token / ORDER_TOKENS)
        code = int(codes[token])
        if code in _MARKS and token:
            share *= BEYOND_A_MARK
            quoted = min(quoted, token) if code != _NEWLINE else quoted
    share = 1.0
    for distance in range(min(size, ORDER_TOKENS)):
        token = size - 1 - distance
        end[token] = share * (1.0 - distance / ORDER_TOKENS)
        if quoted < token < 2 * ORDER_TOKENS:
            end[token] *= BEYOND_A_MARK
        if int(codes[token]) == _NEWLINE and distance:
            share *= BEYOND_A_MARK
    return start, end


def standing(grams: Grams, meanings: Meanings, shift: np.uint64, concepts: int) -> NDArray[np.float64]:
    """How much each concept stands at the start (first half) and the end of a text, in [0, 1]: `float64[2 * concepts]`.

    A term counts 1 at the very end and nothing `ORDER_TOKENS` tokens away from it.
    """
    found = [0.0] * (2 * concepts)
    start, end = nearness_of_each(grams)
    where = last_token_of_each(grams)
    near = ((where < ORDER_TOKENS) | (where >= grams.tokens - ORDER_TOKENS)).nonzero()[0]
    buckets: Hashes = grams.hashes.take(near) >> shift
    for bucket, token in zip(buckets.tolist(), where.take(near).tolist(), strict=True):
        for concept, share in meanings.get(bucket, ()):
            found[concept] += share * start[token]
            found[concepts + concept] += share * end[token]
    return np.array([min(1.0, value) for value in found])


def slots_of(meanings: Meanings) -> Slots:
    """The hash table of `meanings`, by linear probing from the bucket's low bits."""
    entries = [(bucket, concept, share) for bucket in sorted(meanings) for concept, share in meanings[bucket]]
    size = 1 << (2 * len(entries) + 1).bit_length()
    keys, concepts = np.full(size, _EMPTY, np.uint32), np.zeros(size, np.uint8)
    shares = np.zeros(size, np.float32)
    for bucket, concept, share in entries:
        slot = bucket & (size - 1)
        while keys[slot] != _EMPTY:
            slot = (slot + 1) & (size - 1)
        keys[slot], concepts[slot], shares[slot] = bucket, concept, share
    return Slots(keys.tobytes(), concepts.tobytes(), shares.tobytes())
