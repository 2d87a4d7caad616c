"""From a log of explored decisions to a judge, if the log itself shows it to be better. Reads no log.

Every row is judged by a policy that was trained without it; what that would have earned beside the modes that were
logged is estimated doubly robustly.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from router.conversation import Conversation
from router.judges.weights import LinearWeights
from router.learning.adapt import Check, folds_of
from router.learning.bandit import Feedback, doubly_robust
from router.learning.design import Design
from router.learning.outcome_model import expected_rewards
from router.learning.pair_judge import REPORT_FORMAT, PairJudge
from router.learning.policy import Training, rewards_from, train
from router.learning.views import view_of
from router.training.calibration import thresholds_for

Vector = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
LEAST_ROWS: Final = 200
LEAST_EXPLORED: Final = 20
FOLDS: Final = 3


def learn(
    prior: LinearWeights,
    conversations: Sequence[Conversation],
    feedback: Feedback,
    training: Training,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> PairJudge:
    """Train on the log in two stages, the judge reward alone and then both; threshold 0.5. Raises ValueError where too
    little was logged or explored."""
    explored = int((feedback.propensities < 0.5).sum())
    if len(feedback) < LEAST_ROWS or explored < LEAST_EXPLORED:
        raise ValueError(
            f"{len(feedback)} decisions with outcomes, {explored} of them explored: at least {LEAST_ROWS} and "
            f"{LEAST_EXPLORED} are needed"
        )
    progress("features", 0, 1)
    view = view_of(prior, conversations)
    design = Design.of(view, prior.bits)
    matrix = design.matrix(view)
    logged = np.where(feedback.propensities >= 0.5, feedback.thinks, 1 - feedback.thinks)
    start = design.start(view, float(np.clip(logged.mean(), 0.02, 0.98)))

    def trained(rows: NDArray[np.int64]) -> Vector:
        own = feedback.rows(rows)  # the outcome model, too, is to know nothing of the others
        rewards = rewards_from(own, *expected_rewards(view.rows(rows), own, seed))
        judged = train(matrix[rows], rewards, start, training, only_judge=True)
        return train(matrix[rows], rewards, judged, training, only_judge=False)

    fold, chosen = folds_of(len(view), seed, FOLDS), np.empty(len(view))
    for number in range(FOLDS):
        progress("held-out check", number, FOLDS)
        out = np.flatnonzero(fold == number)
        chosen[out] = expit(matrix[out] @ trained(np.flatnonzero(fold != number))) >= 0.5
    instruct, thinking = expected_rewards(view, feedback, seed)
    each = (chosen - logged) * rewards_from(feedback, instruct, thinking).answer
    before, after = (doubly_robust(feedback, instruct, thinking, policy) for policy in (logged, chosen))
    verdict = Check(before.value, after.value, float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))))
    progress("fitting on the whole log", 0, 1)
    parameters = trained(np.arange(len(view)))
    weights = design.to_weights(prior, parameters)
    logits = np.linspace(-8.0, 8.0, 33)
    digest = hashlib.sha256(weights.table.tobytes() + weights.shape.tobytes()).hexdigest()[:8]
    version = f"{prior.version}+policy.{digest}"
    scores = expit(matrix @ parameters)
    card = {**prior.card, "version": version, "thresholds": thresholds_for(scores, np.ones(len(scores)))}
    weights = replace(
        weights, version=version, card=card, calibration_logits=logits, calibration_scores=np.asarray(expit(logits))
    )
    report: dict[str, Any] = {
        "format": REPORT_FORMAT,
        "kind": "policy",
        "judge": f"{prior.name}@{version}",
        "prior": f"{prior.name}@{prior.version}",
        "decisions": len(feedback),
        "explored": explored,
        "kept_prior": not verdict.accepted,
        "check": verdict.as_dict(),
        "threshold": 0.5,
        "think_ratio_logged": float(logged.mean()),
        "think_ratio": float(chosen.mean()),
    }
    progress("done", 1, 1)
    return PairJudge(weights, report)
