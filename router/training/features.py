"""Training's view of the serving features: the same functions, as one sparse matrix. Knows no labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from router.conversation import Conversation
from router.judges.linear import scale_of, text_of
from router.judges.ngrams import grams_of
from router.judges.orders import standing
from router.judges.shape import SIZE, counts_of, shape_of
from router.training.lexicon import concepts, meanings_of


@dataclass(frozen=True, slots=True)
class Features:
    """`grams`: sparse `float32[rows, 2**bits]`, already scaled as in serving; `shape`: `float32[rows, SIZE]`; `orders`:
    `float32[rows, 2 * concepts]`, which concepts stand at the start and the end."""

    grams: csr_matrix
    shape: NDArray[np.float32]
    orders: NDArray[np.float32]

    def rows(self, index: NDArray[np.int64]) -> "Features":
        """The features of some rows."""
        return Features(self.grams[index], self.shape[index], self.orders[index])


def features_of(conversations: Sequence[Conversation], bits: int, watch: Iterable[int] | None = None) -> Features:
    """The features of each conversation, exactly as `LinearJudge` computes them; `watch` may wrap the row numbers."""
    shift = np.uint64(64 - bits)
    indices, values, pointers = [], [], [0]
    meanings, number = meanings_of(bits), len(concepts())
    shapes = np.empty((len(conversations), SIZE), np.float32)
    orders = np.empty((len(conversations), 2 * number), np.float32)
    total = 0
    for row in watch if watch is not None else range(len(conversations)):
        text = text_of(conversations[row])
        grams = grams_of(text)
        buckets = (grams.hashes >> shift).astype(np.int32)
        weights = np.full(len(buckets), scale_of(grams.tokens), np.float32)
        if grams.weights is not None:
            weights *= grams.weights
        indices.append(buckets)
        values.append(weights)
        total += len(buckets)
        pointers.append(total)
        shapes[row] = shape_of(conversations[row], text, counts_of(grams.codes))
        orders[row] = standing(grams, meanings, shift, number)
    matrix = csr_matrix(
        (
            np.concatenate(values) if values else np.zeros(0, np.float32),
            np.concatenate(indices) if indices else np.zeros(0, np.int32),
            np.array(pointers, np.int64),
        ),
        shape=(len(conversations), 1 << bits),
    )
    matrix.sum_duplicates()
    return Features(matrix, shapes, orders)
