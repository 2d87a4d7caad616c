"""A prior judge's view of conversations, in blocks of features to correct it with. Knows its weights; fits none.

Every block is linear in what the linear judge adds up, so that a correction of any of them can be written back into
weights of the same format. The factor by which orders turn the words is the prior's, and stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.special import expit

from router.conversation import Conversation
from router.judges.weights import LinearWeights
from router.training.features import features_of
from router.training.lexicon import concept_matrix

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
BLOCKS: Final = ("shape", "concepts", "words")


@dataclass(frozen=True, slots=True)
class View:
    """`logits` are the prior's own log-odds; `words` `[rows, 2**bits]` sparse and already turned by the orders' factor;
    `concepts` `[rows, concepts]` counted likewise; `shape` `[rows, SIZE]`."""

    logits: Vector
    words: csr_matrix
    concepts: Matrix
    shape: Matrix

    def __len__(self) -> int:
        return len(self.logits)

    def rows(self, index: NDArray[np.int64]) -> "View":
        """The view of some rows."""
        return View(self.logits[index], self.words[index], self.concepts[index], self.shape[index])


@dataclass(frozen=True, slots=True)
class Scales:
    """By what each block is divided so that a row's squared length is about 1; shape is centred first."""

    centre: Vector
    spread: Vector
    concepts: float
    words: float


def view_of(prior: LinearWeights, conversations: Sequence[Conversation]) -> View:
    """What `prior` sees of each conversation."""
    features = features_of(conversations, prior.bits)
    turned = features.orders @ prior.orders.turning + prior.orders.bias
    factor = 2.0 * expit(np.asarray(turned, np.float64))
    words = (diags(factor) @ features.grams).tocsr().astype(np.float64)
    shape = features.shape.astype(np.float64)
    logits = words @ prior.table.astype(np.float64) + shape @ prior.shape + features.orders @ prior.orders.pushing
    concepts = np.asarray((words @ concept_matrix(prior.bits)).todense(), np.float64)
    return View(np.asarray(logits + prior.bias, np.float64), words, concepts, shape)


def scales_of(view: View) -> Scales:
    """Scales from the rows that will be learned from."""
    spread = view.shape.std(0)
    spread[spread < 1e-6] = np.inf  # what never varies says nothing
    squares = np.asarray(view.words.multiply(view.words).sum(1)).ravel()
    return Scales(
        view.shape.mean(0),
        spread * np.sqrt(view.shape.shape[1]),
        float(np.sqrt((view.concepts**2).sum(1).mean())) or 1.0,
        float(np.sqrt(squares.mean())) or 1.0,
    )


def kernel(left: View, right: View, scales: Scales, mix: Sequence[float]) -> Matrix:
    """`[rows of left, rows of right]`: the blocks' inner products, weighed by `mix`, and one for the constant."""
    shape = ((left.shape - scales.centre) / scales.spread) @ ((right.shape - scales.centre) / scales.spread).T
    concepts = left.concepts @ right.concepts.T / scales.concepts**2
    words = np.asarray((left.words @ right.words.T).todense()) / scales.words**2
    return np.asarray(mix[0] * shape + mix[1] * concepts + mix[2] * words + 1.0, np.float64)
