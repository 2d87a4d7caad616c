"""Expected correctness of both modes, from rows of which one mode's outcome is known. Knows views and ridge; no policy.

Each mode has a ridge regression of its own on the prior's features (ThinkSwitcher: pass rates under each mode), weighed
by inverse propensity, cross-fitted: no row is predicted by a model that has seen it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.learning.adapt import MIXES, PENALTIES, folds_of
from router.learning.bandit import Feedback
from router.learning.ridge import left_out_errors, solve
from router.learning.views import Scales, View, kernel, scales_of

Vector = NDArray[np.float64]
FITTED_ROWS = 1200
"""A mode's model is fitted on at most so many rows: the kernel of more takes too long."""

CHOOSING_ROWS = 500
FOLDS = 3


@dataclass(frozen=True, slots=True)
class ModeModel:
    """One mode's expected reward; predictions stay within the rewards seen."""

    view: View
    scales: Scales
    mix: tuple[float, float, float]
    dual: Vector
    mean: float
    low: float
    high: float

    def predict(self, view: View) -> Vector:
        """The expected reward of each row."""
        found = self.mean + kernel(view, self.view, self.scales, self.mix) @ self.dual
        return np.clip(found, self.low, self.high)


def fit_mode(view: View, rewards: Vector, seed: int = 0) -> ModeModel:
    """Fit one mode on rows that it answered."""
    rng = np.random.default_rng(seed)
    if len(view) > FITTED_ROWS:
        some = np.sort(rng.permutation(len(view))[:FITTED_ROWS])
        view, rewards = view.rows(some), rewards[some]
    scales, mean = scales_of(view), float(rewards.mean())
    few = np.sort(rng.permutation(len(view))[:CHOOSING_ROWS])
    best, mix, penalty = float("inf"), MIXES[-1], PENALTIES[0]
    for candidate in (MIXES[1], MIXES[-1]):
        errors = left_out_errors(
            kernel(view.rows(few), view.rows(few), scales, candidate), rewards[few] - mean, PENALTIES
        )
        least = int(np.argmin(errors))
        if errors[least] < best:
            best, mix, penalty = errors[least], candidate, PENALTIES[least]
    dual = solve(kernel(view, view, scales, mix), rewards - mean, penalty)
    return ModeModel(view, scales, mix, dual, mean, float(rewards.min()), float(rewards.max()))


def expected_rewards(view: View, feedback: Feedback, seed: int = 0) -> tuple[Vector, Vector]:
    """(instruct's, thinking's) expected reward of every row, by models that have not seen it. A mode that is hardly in
    the log gets its mean."""
    fold = folds_of(len(view), seed, FOLDS)
    found = np.empty((2, len(view)))
    for number in range(FOLDS):
        out = np.flatnonzero(fold == number)
        for mode in (0, 1):
            rows = np.flatnonzero((fold != number) & (feedback.thinks == mode))
            if len(rows) < 20:
                found[mode, out] = feedback.rewards[rows].mean() if len(rows) else 0.5
            else:
                found[mode, out] = fit_mode(view.rows(rows), feedback.rewards[rows], seed).predict(view.rows(out))
    return found[0], found[1]
