"""From a prior judge and a pair's outcomes to a judge for that pair. Knows the order of the steps; reads no file.

The gain of thinking is regressed on the prior's log-odds (two numbers, no shrinkage) and what is left on the prior's
own features, shrunk towards nothing by a ridge penalty: at few labels the prior's order stays, at many they speak.
Penalty and the blocks' weights are chosen by exact leave-one-out inside the labels, no correction among the choices.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.judges.orders import OrderWeights
from router.judges.weights import LinearWeights
from router.learning.outcomes import think_share
from router.learning.ridge import left_out_errors, solve
from router.learning.views import Scales, View, kernel, scales_of
from router.training.lexicon import concept_matrix

Vector = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

MIXES: Final = ((1.0, 0.3, 0.1), (1.0, 1.0, 0.5), (0.3, 0.5, 1.0), (0.1, 0.1, 1.0))
"""Weights of shape, concepts and words: from what few labels can say to what many can."""

PENALTIES: Final = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
CHOOSING_ROWS: Final = 1500
"""Leave-one-out needs all eigenvalues: strengths are chosen on at most so many rows. They hold for more rows, since the
penalty is on the sum of errors and not on their mean."""

FOLDS: Final = 5
LEAST_ROWS: Final = 40
_LOGIT_SPREAD: Final = 2.0


@dataclass(frozen=True, slots=True)
class Strength:
    """How far the correction may go: the blocks' weights and the penalty; None for no correction at all."""

    mix: tuple[float, float, float]
    penalty: float | None


@dataclass(frozen=True, slots=True)
class Correction:
    """`offset + slope * prior's logit + features @ deltas` predicts the gain. `words` is over the prior's buckets,
    concepts folded in; `shape` over its properties, not centred any more."""

    offset: float
    slope: float
    words: Vector
    shape: Vector
    strength: Strength

    def predict(self, view: View) -> Vector:
        """The expected gain of each row."""
        corrected = view.words @ self.words + view.shape @ self.shape
        return np.asarray(self.offset + self.slope * view.logits + corrected, np.float64)


def fit_correction(view: View, gains: Vector, bits: int, seed: int = 0) -> Correction:
    """The correction that labels ask for, its strength chosen inside them."""
    offset, slope = _line(view.logits, gains)
    left = gains - offset - slope * view.logits
    scales = scales_of(view)
    strength = choose(view, left, scales, seed)
    words, shape = np.zeros(1 << bits), np.zeros(view.shape.shape[1])
    if strength.penalty is not None:
        dual = solve(kernel(view, view, scales, strength.mix), left, strength.penalty)
        by_shape, by_concept, by_word = strength.mix
        shape = by_shape * ((view.shape - scales.centre) / scales.spread).T @ dual / scales.spread
        concepts = by_concept * (view.concepts.T @ dual) / scales.concepts**2
        words = by_word * (view.words.T @ dual) / scales.words**2 + concept_matrix(bits) @ concepts
        offset += float(dual.sum() - shape @ scales.centre)
    return Correction(offset, slope, np.asarray(words, np.float64), np.asarray(shape, np.float64), strength)


def choose(view: View, targets: Vector, scales: Scales, seed: int = 0) -> Strength:
    """The strength of the least leave-one-out error; no correction unless one beats it."""
    if len(view) > CHOOSING_ROWS:
        some = np.sort(np.random.default_rng(seed).permutation(len(view))[:CHOOSING_ROWS])
        view, targets = view.rows(some), targets[some]
    best, found = float(np.mean(targets**2)), Strength(MIXES[0], None)
    for mix in MIXES:
        errors = left_out_errors(kernel(view, view, scales, mix), targets, PENALTIES)
        least = int(np.argmin(errors))
        if errors[least] < best:
            best, found = errors[least], Strength(mix, PENALTIES[least])
    return found


def folds_of(count: int, seed: int = 0, folds: int = FOLDS) -> NDArray[np.int64]:
    """A fold for each row, equally many of each."""
    return np.random.default_rng(seed).permutation(np.arange(count) % folds)


def held_out(
    view: View, gains: Vector, bits: int, seed: int = 0, progress: Progress = lambda step, done, total: None
) -> Vector:
    """The gain predicted for each row by a correction that never saw it, its strength chosen without it too."""
    fold = folds_of(len(view), seed)
    predicted = np.empty(len(view))
    for number in range(FOLDS):
        progress("held-out check", number, FOLDS)
        rest, out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        predicted[out] = fit_correction(view.rows(rest), gains[rest], bits, seed).predict(view.rows(out))
    return predicted


@dataclass(frozen=True, slots=True)
class Check:
    """Held-out labels on both judges: average utility gained over all think ratios, and the difference with its
    standard error over rows."""

    prior: float
    adapted: float
    difference: float
    error: float

    @property
    def accepted(self) -> bool:
        """Is the new judge better beyond one-sided chance of a twentieth?"""
        return self.difference > 1.645 * self.error

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {
            "prior": self.prior,
            "adapted": self.adapted,
            "difference": self.difference,
            "standard_error": self.error,
            "accepted": self.accepted,
        }


def check(gains: Vector, prior: Vector, adapted: Vector, seed: int = 0) -> Check:
    """Compare two rankings of rows, pair by pair and within folds: each row by a correction that never saw it."""
    fold = folds_of(len(gains), seed)
    ours, theirs = np.empty(len(gains)), np.empty(len(gains))
    for number in range(FOLDS):  # corrections of different folds are not to be ranked against one another
        out = fold == number
        ours[out], theirs[out] = gains[out] * think_share(adapted[out]), gains[out] * think_share(prior[out])
    each = ours - theirs
    error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("inf")
    return Check(float(theirs.mean()), float(ours.mean()), float(each.mean()), error)


def corrected_weights(prior: LinearWeights, correction: Correction, scale: float) -> LinearWeights:
    """The prior's weights with the correction written in; logits are `scale` times the predicted gain.

    Calibration and card are still the prior's.
    """
    slope = correction.slope * scale
    orders = OrderWeights(prior.orders.pushing * slope, prior.orders.turning, prior.orders.bias)
    return replace(
        prior,
        table=(prior.table.astype(np.float64) * slope + correction.words * scale).astype(np.float32),
        shape=(prior.shape * slope + correction.shape * scale).astype(np.float32),
        bias=prior.bias * slope + correction.offset * scale,
        orders=orders,
    )


def scale_for(predicted: Vector) -> float:
    """What gains are multiplied by to spread like log-odds: half precision is finest about 1."""
    spread = float(np.std(predicted))
    return _LOGIT_SPREAD / spread if spread > 1e-9 else 1.0


def _line(logits: Vector, gains: Vector) -> tuple[float, float]:
    """(offset, slope) of the gains on the prior's logits; the slope stays positive, lest the prior's order turn."""
    spread = float(logits.std())
    if spread < 1e-9:
        return float(gains.mean()), 1.0
    slope = float(np.mean((logits - logits.mean()) * (gains - gains.mean()))) / spread**2
    slope = max(slope, 0.01 * max(float(gains.std()), 1e-3) / spread)
    return float(gains.mean() - slope * logits.mean()), slope
