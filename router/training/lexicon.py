"""Words of one meaning in many languages, as groups of hash buckets. Knows the lexicon file; knows no weights.

`lexicon.tsv` has one concept a row: its name, then words and phrases of at least thirty languages; `*` ends a stem. All
words of a concept share one weight, so that what English and Chinese sources teach about "prove" or "translate" holds
for languages that have no training data. The shared weights are folded into the hash table: serving pays nothing.
"""

from pathlib import Path
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from router.judges.ngrams import STEM_CHARS, grams_of

_FILE: Final = Path(__file__).with_name("lexicon.tsv")


def concepts() -> dict[str, list[str]]:
    """Concept name -> its terms."""
    rows = (line.split("\t") for line in _FILE.read_text("utf-8").splitlines())
    return {name: sorted(set(filter(None, terms))) for name, *terms in rows}


def buckets_of(term: str, bits: int) -> dict[int, float]:
    """Bucket -> share of a term: one n-gram, or all triples of a term of more than three tokens."""
    text = term.lower()
    if text.endswith("*"):
        text = text[:-1]
        if len(text) >= STEM_CHARS and " " not in text:
            return {_bucket(grams_of(text[:STEM_CHARS] + "xx").hashes[-1], bits): 1.0}
    grams = grams_of(text)
    tokens = grams.tokens
    if tokens == 0:
        return {}
    first = {1: 0, 2: 2, 3: 5}.get(tokens, 2 * tokens - 1)  # where the pairs or triples begin in `hashes`
    last = first + max(1, tokens - 2) if tokens > 3 else first + 1
    shares: dict[int, float] = {}
    for value in grams.hashes[first:last]:
        bucket = _bucket(value, bits)
        shares[bucket] = shares.get(bucket, 0.0) + 1.0 / (last - first)
    return shares


def concept_buckets(bits: int) -> dict[str, dict[int, float]]:
    """Concept name -> bucket -> the share of a term that a hit of it stands for."""
    found: dict[str, dict[int, float]] = {}
    for name, terms in concepts().items():
        shares = found.setdefault(name, {})
        for term in terms:
            for bucket, share in buckets_of(term, bits).items():
                shares[bucket] = max(share, shares.get(bucket, 0.0))
    return found


def meanings_of(bits: int) -> dict[int, list[tuple[int, float]]]:
    """Bucket -> (number of the concept, share) of each of its concepts, as serving reads them from the weights."""
    found: dict[int, list[tuple[int, float]]] = {}
    for number, shares in enumerate(concept_buckets(bits).values()):
        for bucket, share in shares.items():
            found.setdefault(bucket, []).append((number, share))
    return found


def concept_matrix(bits: int) -> csr_matrix:
    """`float64[2**bits, concepts]`: how much a hit of each bucket counts for each concept."""
    entries = [(bucket, number, share) for bucket, found in meanings_of(bits).items() for number, share in found]
    rows, columns, values = zip(*entries, strict=True)
    return csr_matrix((values, (rows, columns)), shape=(1 << bits, len(concepts())), dtype=np.float64)


def _bucket(value: np.uint64, bits: int) -> int:
    return int(value) >> (64 - bits)
