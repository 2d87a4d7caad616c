"""What a judge says of prompts of a kind that its labels do not hold. Knows outcomes with groups, and how judges adapt.

A judge that was adapted to labels is in little doubt about them, and about other prompts of their kinds. How far it can
be trusted on what is new is seen only by leaving whole kinds out.
"""

import numpy as np
from numpy.typing import NDArray

from router.judges.weights import LinearWeights
from router.learning.adapt import fit_correction, scale_for
from router.learning.goal import Goal
from router.learning.outcomes import Outcomes, Utility
from router.learning.pair_judge import adapt, at_threshold
from router.learning.views import view_of
from router.training.calibration import Calibration

Vector = NDArray[np.float64]
LEAST_GROUPS = 4


def scores_as_new(prior: LinearWeights, outcomes: Outcomes, utility: Utility, seed: int = 0) -> Vector:
    """Each prompt's score by the prior, adapted to the labels of all other groups, on the scale of the judge that
    `judge adapt --at-threshold 0.5` would write for all of them. Raises ValueError for fewer than four groups."""
    groups = np.array(outcomes.groups)
    names = np.unique(groups)
    if len(names) < LEAST_GROUPS:
        raise ValueError(f"{len(names)} groups among the labels: at least {LEAST_GROUPS} are needed to leave each out")
    made = at_threshold(adapt(prior, outcomes, Goal(utility), seed), 0.5)
    view, gains = view_of(prior, outcomes.conversations), utility.gains(outcomes)
    logits = view.logits
    if not made.report["kept_prior"]:
        scale = scale_for(fit_correction(view, gains, prior.bits, seed).predict(view))
        logits = np.empty(len(outcomes))
        for name in names:
            out, rest = np.flatnonzero(groups == name), np.flatnonzero(groups != name)
            corrected = fit_correction(view.rows(rest), gains[rest], prior.bits, seed)
            logits[out] = scale * corrected.predict(view.rows(out))
    calibration = Calibration(made.weights.calibration_logits, made.weights.calibration_scores)
    return calibration(logits)
