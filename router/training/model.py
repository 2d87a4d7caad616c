"""Fit the linear judge: logistic regression on soft targets. Knows matrices; knows no texts."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from router.judges.shape import NAMES
from router.training.features import Features
from router.training.lexicon import concept_matrix
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


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyperparameters, chosen by leave-one-group-out results (see docs/judge-log.md)."""

    bits: int = 21
    least_sources: int = 5
    """An n-gram must occur in this many sources to carry weight: words of one source only identify it."""
    gram_penalty: float = 3.0
    """L2 penalty on n-gram weights, in units of one example of mean weight."""
    concept_penalty: float = 0.1
    shape_penalty: float = 1.0
    iterations: int = 60
    silent: tuple[str, ...] = SILENT
    """Properties of the shape that get no weight."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Fitted weights: `table` `float32[2**bits]`, `shape` `float32[SIZE]`, and the bias.

    `concepts` are the shared weights of the lexicon's concepts, already contained in `table`.
    """

    table: NDArray[np.float32]
    shape: NDArray[np.float32]
    bias: float
    concepts: NDArray[np.float32]

    def logits(self, features: Features) -> Vector:
        """Log-odds of each row."""
        return np.asarray(features.grams @ self.table + features.shape @ self.shape + self.bias, np.float64)


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
    """Weighted cross-entropy against soft targets with L2 penalties, by L-BFGS from zero; deterministic."""
    kept = kept_buckets(features.grams, sources, recipe.least_sources)
    grams = features.grams[:, kept].astype(np.float64)
    transposed = grams.T.tocsr()
    lexicon = concept_matrix(recipe.bits)
    spoken = np.array([name not in recipe.silent for name in NAMES])
    dense = np.hstack((features.shape * spoken, (features.grams @ lexicon).toarray()))
    wide, shapes, concepts = len(kept), features.shape.shape[1], lexicon.shape[1]
    scale = weights / weights.sum()
    penalty = np.repeat(
        (recipe.gram_penalty, recipe.shape_penalty, recipe.concept_penalty, 0.0), (wide, shapes, concepts, 1)
    ) / len(targets)

    def loss(parameters: Vector) -> tuple[float, Vector]:
        logits = grams @ parameters[:wide] + dense @ parameters[wide:-1] + parameters[-1]
        error = np.logaddexp(0.0, logits) - targets * logits
        slope = scale * (1.0 / (1.0 + np.exp(-logits)) - targets)
        gradient = np.concatenate((transposed @ slope, dense.T @ slope, [slope.sum()])) + penalty * parameters
        return float(scale @ error + 0.5 * penalty @ (parameters * parameters)), gradient

    found = minimise(loss, np.zeros(wide + shapes + concepts + 1), recipe.iterations)
    shared = found[wide + shapes : -1]
    table = np.zeros(features.grams.shape[1])
    table[kept] = found[:wide]
    table += lexicon @ shared
    return LinearModel(
        table.astype(np.float32),
        found[wide : wide + shapes].astype(np.float32),
        float(found[-1]),
        shared.astype(np.float32),
    )
