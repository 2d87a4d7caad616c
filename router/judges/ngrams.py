"""Hashed n-grams of a text without a Python loop. Knows tokens and hashes; knows no weights.

A polynomial hash of every prefix of the text (one multiplication and one cumulative sum, modulo 2**64) gives the hash
of any span as a difference of two prefixes times a power of the inverse base, so that all words, their stems and all
n-grams of words come out of a dozen array operations, whatever their number. See Karp & Rabin, "Efficient randomized
pattern-matching algorithms", 1987.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.judges.characters import CLASS_OF, DIGIT, LETTER, SPACE, Codes, codes_of

Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]

MAX_CHARS: Final = 4096
"""Longer texts are cut here as a last resort; callers shorten them sensibly before."""

EDGE_TOKENS: Final = 40
"""Tokens at each end of a text that count in full; those between share the weight of one edge."""

STEM_CHARS: Final = 5

_MASK: Final = (1 << 64) - 1
_BASE: Final = 0x9E3779B97F4A7C15
_FIRST: Final = np.uint64(0xD6E8FEB86659FD93)
_SECOND: Final = np.uint64(0xA0761D6478BD642F)
_NUMBER_SALT: Final = np.uint64(0x589965CC75374CC3)
_STEM_SALT: Final = np.uint64(0x8EBC6AF09C88C6E3)
_MIX: Final = np.uint64(0xE7037ED1A0B428DB)
_SHIFT: Final = np.uint64(29)


def _powers(base: int) -> Hashes:
    powers, value = [], 1
    for _ in range(MAX_CHARS + 1):
        powers.append(value)
        value = value * base & _MASK
    return np.array(powers, np.uint64)


_POWER: Final = _powers(_BASE)
_INVERSE: Final = _powers(pow(_BASE, -1, 1 << 64))

# How characters group into tokens: runs of letters and runs of digits are one token each, spaces none, and every other
# character is a token of its own.
_NUMBER: Final = 2
_ALONE: Final = 3
_GROUP_OF: Final = np.where(
    CLASS_OF == LETTER, 1, np.where(CLASS_OF == DIGIT, _NUMBER, np.where(CLASS_OF == SPACE, 0, _ALONE))
).astype(np.uint8)
_VALUE_OF: Final = np.arange(len(CLASS_OF), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Grams:
    """The hashed n-grams of one text.

    Words come first, then pairs, triples and stems. `weights[k]` in (0, 1] says how much `hashes[k]` counts, None that
    all count 1.
    `starts` and `ends` are the tokens' character spans.
    """

    hashes: Hashes
    weights: NDArray[np.float32] | None
    tokens: int
    codes: Codes
    starts: Positions
    ends: Positions


def grams_of(text: str) -> Grams:
    """Words, word pairs and triples, and stems of `text` (already lower case), at most `MAX_CHARS` characters of it."""
    codes = codes_of(text[:MAX_CHARS])
    size = len(codes)
    prefix = np.zeros(size + 1, np.uint64)
    np.multiply(_VALUE_OF.take(codes, mode="clip"), _POWER[:size], out=prefix[1:])
    np.add.accumulate(prefix, out=prefix)

    groups = _GROUP_OF.take(codes, mode="clip")
    cuts = np.ones(size + 1, np.bool_)
    if size > 1:
        np.not_equal(groups[1:], groups[:-1], out=cuts[1:-1])
        cuts[:-1] |= groups == _ALONE
    edges = cuts.nonzero()[0]
    starts, ends = edges[:-1], edges[1:]
    kept = groups.take(starts) > 0
    starts, ends = starts[kept], ends[kept]

    lengths = ends - starts
    numbers = ((groups.take(starts) == _NUMBER) & (lengths > 1)).nonzero()[0]
    words = (prefix.take(ends) - prefix.take(starts)) * _INVERSE.take(starts)
    if len(numbers):  # the length of a longer number is evidence, its value is not; a single digit keeps its value
        words[numbers] = lengths[numbers].astype(np.uint64) * _NUMBER_SALT
    pairs = words[:-1] * _FIRST + words[1:]
    triples = pairs[:-1] * _SECOND + words[2:]
    long = (lengths > STEM_CHARS).nonzero()[0]
    stem_starts = starts.take(long)
    stems = (prefix.take(stem_starts + STEM_CHARS) - prefix.take(stem_starts)) * _INVERSE.take(stem_starts) + _STEM_SALT
    hashes = np.concatenate((words, pairs, triples, stems))
    hashes ^= hashes >> _SHIFT
    hashes *= _MIX
    return Grams(hashes, _weights(len(words), long), len(words), codes, starts, ends)


def _weights(tokens: int, stems: Positions) -> NDArray[np.float32] | None:
    """1 for tokens near either end; a long middle (pasted text) is damped to the weight of one edge."""
    middle = tokens - 2 * EDGE_TOKENS
    if middle <= EDGE_TOKENS:
        return None
    weights = np.ones(tokens, np.float32)
    weights[EDGE_TOKENS:-EDGE_TOKENS] = EDGE_TOKENS / middle
    return np.concatenate((weights, weights[1:], weights[2:], weights[stems]))


def token_of_each(grams: Grams) -> Positions:
    """For each entry of `grams.hashes`, the index of its (first) token; used to explain, not to score."""
    order = np.arange(grams.tokens)
    long = ((grams.ends - grams.starts) > STEM_CHARS).nonzero()[0]
    return np.concatenate((order, order[:-1], order[:-2] if grams.tokens > 1 else order[:0], long))
