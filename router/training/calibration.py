"""Turn logits into probabilities, and scores into thresholds. Knows numbers only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

Vector = NDArray[np.float64]
THINK_RATIOS = tuple(range(5, 100, 5))
"""Per cent of traffic that thinks, for which a judge's card names thresholds."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising, piecewise linear map from logit to probability; both arrays `float64[k]`."""

    logits: Vector
    scores: Vector

    def __call__(self, logits: Vector) -> Vector:
        """Probabilities of `logits`; constant beyond the ends."""
        return np.interp(logits, self.logits, self.scores)


def calibrate(logits: Vector, truth: Vector, knots: int = 25) -> Calibration:
    """Isotonic regression of labels (or soft targets) on out-of-source logits, thinned and blended with a logistic fit.

    The blend (half and half in log-odds) keeps the map strictly rising, so that scores still rank where isotonic
    regression has steps.
    """
    order = np.argsort(logits, kind="stable")
    x, y = logits[order], truth[order]
    isotonic = IsotonicRegression(y_min=0.005, y_max=0.995, out_of_bounds="clip").fit(x, y)
    slope, offset = _platt(x, y)
    edges = np.unique(np.quantile(x, np.linspace(0.002, 0.998, knots)))
    edges = np.concatenate(([edges[0] - 4.0], edges, [edges[-1] + 4.0]))
    steps = np.clip(isotonic.predict(edges), 0.005, 0.995)
    blended = 0.5 * np.log(steps / (1 - steps)) + 0.5 * np.clip(slope * edges + offset, -6.0, 6.0)
    scores = np.maximum.accumulate(1.0 / (1.0 + np.exp(-blended)))
    return Calibration(edges, scores + np.arange(len(scores)) * 1e-9)


def _platt(x: Vector, y: Vector) -> tuple[float, float]:
    """(slope, offset) of a logistic fit, by Newton's method (Platt, 1999)."""
    slope, offset = 1.0, 0.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(slope * x + offset, -30, 30)))
        gradient = np.array([np.sum((p - y) * x), np.sum(p - y)])
        curve = p * (1 - p)
        cross = np.sum(curve * x)
        hessian = np.array([[np.sum(curve * x * x) + 1e-6, cross], [cross, np.sum(curve) + 1e-6]])
        step = np.linalg.solve(hessian, gradient)
        slope, offset = slope - float(step[0]), offset - float(step[1])
        if float(np.abs(step).max()) < 1e-9:
            break
    return max(slope, 0.05), offset


def thresholds_for(scores: Vector, weights: Vector) -> dict[str, float]:
    """For each think ratio of `THINK_RATIOS` (as "35"), the threshold above which that share of the weight scores."""
    order = np.argsort(-scores, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    return {str(ratio): round(float(scores[order][np.searchsorted(share, ratio / 100.0)]), 4) for ratio in THINK_RATIOS}
