"""Fit the linear judge: logistic regression on soft targets, with a factor set by orders. Knows matrices; no texts."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit

from router.judges.orders import OrderWeights
from router.judges.shape import NAMES
from router.training.features import Features
from router.training.lexicon import concept_matrix
from router.training.lexicon import concepts as concepts_by_name
from router.training.minimise import minimise

Vector = NDArray[np.float64]


SILENT: Final = (
    "length of the ask",
    "very short ask",
    "short ask",
    "ask of middling length",
    "long ask",
    "very long ask",
    "number of lines",
    "a long quotation or document",
)
"""Length separates the training sources well and the next source badly: with these, left-out sources rank worse."""

ORDERS: Final = (
    "asks for a proof or derivation",
    "asks for all solutions",
    "asks in how many ways",
    "asks for a maximum or minimum",
    "translation",
    "a summary",
    "extraction",
    "classification",
    "rewriting",
    "creative or everyday writing",
    "a look-up",
    "a recommendation",
    "a simple command",
    "an answer from a given text",
    "formatting or copying",
    "asks to solve or check an argument",
    "speaks of a text",
    "small talk",
)
"""Concepts that can be an order. Topics ("geometry", "law") at either end say nothing about the rest of a text."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyperparameters, chosen by leave-one-group-out results (see docs/judge-log.md)."""

    bits: int = 21
    least_sources: int = 5
    """An n-gram must occur in this many sources to carry weight: words of one source only identify it."""
    gram_penalty: float = 5.0
    """L2 penalty on n-gram weights, in units of one example of mean weight."""
    concept_penalty: float = 0.1
    shape_penalty: float = 1.0
    pushing_penalty: float = 1.0
    """On what a concept at either end of a text adds; see router/judges/orders.py."""
    turning_penalty: float = 0.2
    """On how a concept at either end turns the factor by which all words count."""
    iterations: int = 80
    orders: tuple[str, ...] = ORDERS
    """Concepts that push and turn where they stand at either end of a text."""
    silent: tuple[str, ...] = SILENT
    """Properties of the shape that get no weight."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Fitted weights: `table` `float32[2**bits]`, `shape` `float32[SIZE]`, `orders`, and the bias.

    `concepts` are the shared weights of the lexicon's concepts, already contained in `table`.
    """

    table: NDArray[np.float32]
    shape: NDArray[np.float32]
    bias: float
    concepts: NDArray[np.float32]
    orders: OrderWeights

    def logits(self, features: Features) -> Vector:
        """Log-odds of each row."""
        turned = features.orders @ self.orders.turning + self.orders.bias
        pushed = features.shape @ self.shape + features.orders @ self.orders.pushing + self.bias
        return np.asarray(features.grams @ self.table * 2.0 * expit(turned) + pushed, np.float64)


RECIPE: Final = Recipe()


def kept_buckets(grams: csr_matrix, sources: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Buckets that are hit in at least `least` different sources (`sources`: one number per row)."""
    counts = np.zeros(grams.shape[1], np.int32)
    for source in np.unique(sources):
        hit = np.zeros(grams.shape[1], np.bool_)
        hit[grams[np.flatnonzero(sources == source)].indices] = True
        counts += hit
    return np.flatnonzero(counts >= least)


def fit(
    features: Features,
    targets: Vector,
    weights: Vector,
    sources: NDArray[np.int64],
    recipe: Recipe = RECIPE,
) -> LinearModel:
    """Weighted cross-entropy against soft targets with L2 penalties, by L-BFGS from zero; deterministic.

    From zero the factor is 1 and the problem is logistic regression; the orders' product with the words makes it
    non-convex, but the start is always the same.
    """
    kept = kept_buckets(features.grams, sources, recipe.least_sources)
    grams = features.grams[:, kept].astype(np.float32)
    transposed = grams.T.tocsr()
    lexicon = concept_matrix(recipe.bits)
    spoken = np.array([name not in recipe.silent for name in NAMES], np.float32)
    ordering = np.array([name in recipe.orders for name in concepts_by_name()] * 2, np.float32)
    shape, orders = features.shape * spoken, features.orders * ordering
    meant = (features.grams @ lexicon).toarray().astype(np.float32)
    sizes = (len(kept), meant.shape[1], shape.shape[1], orders.shape[1], orders.shape[1], 1, 1)
    penalties = (
        recipe.gram_penalty,
        recipe.concept_penalty,
        recipe.shape_penalty,
        recipe.pushing_penalty,
        recipe.turning_penalty,
        0.0,
        1.0,
    )
    cuts = np.cumsum(sizes)[:-1]
    scale = weights / weights.sum()
    penalty = np.repeat(penalties, sizes) / len(targets)

    def loss(parameters: Vector) -> tuple[float, Vector]:
        # Single precision for the large products: the matrices do not fit into any cache.
        words, concepts, looks, pushing, turning, bias, lean = np.split(parameters.astype(np.float32), cuts)
        summed = grams @ words + meant @ concepts
        factor = 2.0 * expit(orders @ turning + lean)
        logits = (factor * summed + shape @ looks + orders @ pushing + bias).astype(np.float64)
        error = np.logaddexp(0.0, logits) - targets * logits
        slope = (scale * (expit(logits) - targets)).astype(np.float32)
        inner, turned = slope * factor, slope * summed * factor * (1.0 - 0.5 * factor)
        parts = (
            transposed @ inner,
            meant.T @ inner,
            shape.T @ slope,
            orders.T @ slope,
            orders.T @ turned,
            [slope.sum()],
            [turned.sum()],
        )
        gradient = np.concatenate(parts).astype(np.float64) + penalty * parameters
        return float(scale @ error + 0.5 * penalty @ (parameters * parameters)), gradient

    found = minimise(loss, np.zeros(sum(sizes)), recipe.iterations)
    words, concepts, looks, pushing, turning, bias, lean = np.split(found, cuts)
    table = np.zeros(features.grams.shape[1])
    table[kept] = words
    table += lexicon @ concepts
    return LinearModel(
        table.astype(np.float32),
        looks.astype(np.float32),
        float(bias[0]),
        concepts.astype(np.float32),
        OrderWeights(pushing * ordering, turning * ordering, float(lean[0])),
    )
