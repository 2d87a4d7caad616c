"""A policy's features as one matrix, its parameters as a judge's weights. Knows views and weights; trains nothing."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from router.judges.orders import OrderWeights
from router.judges.weights import LinearWeights
from router.learning.views import Scales, View, scales_of
from router.training.lexicon import concept_matrix

Vector = NDArray[np.float64]
BLOCKS: Final = (0.5, 0.5, 1.0)
"""How fast shape, concepts and words learn, beside one another."""


@dataclass(frozen=True, slots=True)
class Design:
    """Columns: one, the prior's log-odds, shape, concepts, and the words that the training rows hold."""

    scales: Scales
    kept: NDArray[np.int64]
    middle: float
    spread: float
    bits: int

    @classmethod
    def of(cls, view: View, bits: int) -> "Design":
        """The columns for these training rows."""
        spread = float(view.logits.std())
        kept = np.unique(view.words.indices).astype(np.int64)
        return cls(scales_of(view), kept, float(view.logits.mean()), spread if spread > 1e-9 else 1.0, bits)

    @property
    def columns(self) -> int:
        """How many parameters there are."""
        return int(2 + len(self.scales.centre) + concept_matrix(self.bits).shape[1] + len(self.kept))

    def matrix(self, view: View) -> csr_matrix:
        """`[rows, columns]` of any rows."""
        shape = BLOCKS[0] * (view.shape - self.scales.centre) / self.scales.spread
        dense = (
            np.ones((len(view), 1)),
            ((view.logits - self.middle) / self.spread)[:, None],
            shape,
            BLOCKS[1] * view.concepts / self.scales.concepts,
        )
        words = view.words[:, self.kept] * (BLOCKS[2] / self.scales.words)
        return hstack([csr_matrix(np.hstack(dense)), words]).tocsr()

    def start(self, view: View, think_ratio: float) -> Vector:
        """Parameters of the prior's own ranking, at a think ratio (0 to 1) on these rows."""
        parameters = np.zeros(self.columns)
        logits = (view.logits - self.middle) / self.spread
        parameters[:2] = -float(np.quantile(logits, 1 - think_ratio)), 1.0
        return parameters

    def to_weights(self, prior: LinearWeights, parameters: Vector) -> LinearWeights:
        """A judge whose log-odds are the policy's; calibration and card are still the prior's."""
        shapes, concepts = len(self.scales.centre), concept_matrix(self.bits)
        ends = np.cumsum((1, 1, shapes, concepts.shape[1]))
        constant, slopes, shape, meant, words = np.split(parameters, ends)
        slope = float(slopes[0]) / self.spread
        shape = shape * BLOCKS[0] / self.scales.spread
        table = prior.table.astype(np.float64) * slope + concepts @ (meant * BLOCKS[1] / self.scales.concepts)
        table[self.kept] += words * BLOCKS[2] / self.scales.words
        bias = float(constant[0]) - slope * self.middle - float(shape @ self.scales.centre) + prior.bias * slope
        orders = OrderWeights(prior.orders.pushing * slope, prior.orders.turning, prior.orders.bias)
        shape = prior.shape * slope + shape
        return replace(prior, table=table.astype(np.float32), shape=shape.astype(np.float32), bias=bias, orders=orders)
