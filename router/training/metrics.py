"""Numbers that say how good a score is. Knows arrays of scores, labels and outcomes; knows no judge.

Throughout, `scores` are P(thinking helps) or anything that orders alike, `labels` 1 (hard) or 0 (easy), `p_instruct`
and `p_thinking` mean correctness in [0, 1] per question.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Vector = NDArray[np.float64]
RATIOS: Final = (0.1, 0.2, 0.3, 0.5)


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Probability that a random hard row scores above a random easy one, ties counting half; NaN with one class."""
    values, truth = np.asarray(scores, float), np.asarray(labels, bool)
    hard = int(truth.sum())
    easy = len(truth) - hard
    if not hard or not easy:
        return float("nan")
    return float((rankdata(values)[truth].sum() - hard * (hard + 1) / 2) / (hard * easy))


def expected_calibration_error(scores: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """Mean |score − frequency| over equal-width bins, weighted by their rows (Naeini et al., 2015)."""
    return float(sum(share * abs(mean - rate) for mean, rate, share in reliability(scores, labels, bins)))


def reliability(scores: ArrayLike, labels: ArrayLike, bins: int = 10) -> list[tuple[float, float, float]]:
    """(mean score, share of hard rows, share of all rows) of each non-empty bin; labels may be soft."""
    values, truth = np.asarray(scores, float), np.asarray(labels, float)
    place = np.minimum((values * bins).astype(int), bins - 1)
    found = []
    for index in range(bins):
        inside = place == index
        if inside.any():
            found.append((float(values[inside].mean()), float(truth[inside].mean()), float(inside.mean())))
    return found


def thinking_mask(scores: ArrayLike, ratio: float) -> NDArray[np.float64]:
    """How much of each row thinks when the `ratio` highest scores do: 0 or 1, with ties at the edge shared equally."""
    values = np.asarray(scores, float)
    budget = ratio * len(values)
    mask = np.zeros(len(values))
    if budget <= 0 or not len(values):
        return mask
    edge = np.sort(values)[::-1][min(len(values) - 1, int(np.ceil(budget)) - 1)]
    above, ties = values > edge, values == edge
    mask[above] = 1.0
    mask[ties] = (budget - above.sum()) / ties.sum()
    return np.clip(mask, 0.0, 1.0)


def accuracy_at(scores: ArrayLike, p_instruct: ArrayLike, p_thinking: ArrayLike, ratio: float) -> float:
    """Mean correctness when the `ratio` highest scores are answered by thinking."""
    mask = thinking_mask(scores, ratio)
    return float(np.mean(np.asarray(p_thinking, float) * mask + np.asarray(p_instruct, float) * (1 - mask)))


def recovered(scores: ArrayLike, p_instruct: ArrayLike, p_thinking: ArrayLike, ratio: float) -> float:
    """PGR: the share of the gap between never and always thinking that is recovered at a think ratio (RouteLLM)."""
    low, high = float(np.mean(np.asarray(p_instruct, float))), float(np.mean(np.asarray(p_thinking, float)))
    if high <= low:
        return float("nan")
    return (accuracy_at(scores, p_instruct, p_thinking, ratio) - low) / (high - low)


def average_recovered(scores: ArrayLike, p_instruct: ArrayLike, p_thinking: ArrayLike, steps: int = 50) -> float:
    """APGR: PGR averaged over think ratios from 0 to 1 (RouteLLM, 2024); about 0.5 for chance."""
    ratios = (np.arange(steps) + 0.5) / steps
    return float(np.mean([recovered(scores, p_instruct, p_thinking, ratio) for ratio in ratios]))
