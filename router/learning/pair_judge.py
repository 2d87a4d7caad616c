"""A judge for one pair: adapted where the labels prove it better, else the prior, with a report. Writes no file."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.judges.weights import LinearWeights, save_weights
from router.learning.adapt import (
    LEAST_ROWS,
    check,
    corrected_weights,
    fit_correction,
    held_out,
    scale_for,
)
from router.learning.goal import Goal, operation, threshold_for
from router.learning.outcomes import Outcomes, think_share
from router.learning.views import view_of
from router.training.calibration import Calibration, calibrate, thresholds_for

Vector = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
REPORT_FORMAT: Final = 1
CURVE_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class PairJudge:
    """Weights ready to be written, and the report that says how they came about and what they do."""

    weights: LinearWeights
    report: dict[str, Any]


def adapt(
    prior: LinearWeights,
    outcomes: Outcomes,
    goal: Goal,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> PairJudge:
    """Adapt the prior to the outcomes; deterministic for one seed. Raises ValueError for too few labels, or a goal that
    they cannot serve."""
    if len(outcomes) < LEAST_ROWS:
        raise ValueError(f"{len(outcomes)} labels: at least {LEAST_ROWS} are needed to learn from and to check with")
    gains = goal.utility.gains(outcomes)
    progress("features", 0, 1)
    view = view_of(prior, outcomes.conversations)
    predicted = held_out(view, gains, prior.bits, seed, progress)
    verdict = check(gains, view.logits, predicted, seed)
    strength: dict[str, Any] = {"penalty": None}
    if verdict.accepted:
        progress("fitting on all labels", 0, 1)
        correction = fit_correction(view, gains, prior.bits, seed)
        scale = scale_for(correction.predict(view))
        weights, logits = corrected_weights(prior, correction, scale), predicted * scale
        strength = {"mix": list(correction.strength.mix), "penalty": correction.strength.penalty}
    else:
        weights, logits = prior, view.logits
    calibration = calibrate(logits, (gains > 0).astype(float))
    scores = calibration(logits)
    threshold = threshold_for(scores, outcomes, goal)
    version = f"{prior.version}+pair.{_digest(weights, calibration)}"
    report: dict[str, Any] = {
        "format": REPORT_FORMAT,
        "kind": "adaptation",
        "judge": f"{prior.name}@{version}",
        "prior": f"{prior.name}@{prior.version}",
        "labels": len(outcomes),
        "kept_prior": not verdict.accepted,
        "check": verdict.as_dict(),
        "strength": strength,
        "price": goal.utility.price,
        "unit": goal.utility.unit,
        "threshold": threshold,
        "operation": operation(scores, outcomes, goal.utility, threshold).as_dict(),
        "never_thinking": operation(scores, outcomes, goal.utility, 2.0).as_dict(),
        "always_thinking": operation(scores, outcomes, goal.utility, 0.0).as_dict(),
        "curves": curves(outcomes, goal, {"prior": view.logits, "adapted, held out": predicted}),
    }
    card = {
        **prior.card,
        "name": prior.name,
        "version": version,
        "bias": weights.bias,
        "calibration": {"logits": calibration.logits.tolist(), "scores": calibration.scores.tolist()},
        "thresholds": thresholds_for(scores, np.ones(len(scores))),
        "adapted": {name: report[name] for name in ("prior", "labels", "kept_prior", "check", "threshold")},
    }
    weights = replace(
        weights,
        version=version,
        calibration_logits=calibration.logits,
        calibration_scores=calibration.scores,
        card=card,
    )
    progress("done", 1, 1)
    return PairJudge(weights, report)


def curves(outcomes: Outcomes, goal: Goal, rankings: dict[str, Vector]) -> dict[str, list[float]]:
    """Mean utility at think ratios from 0 to 1, of each ranking, of chance and of knowing each prompt's outcome."""
    instruct, thinking = goal.utility.of_modes(outcomes)
    gains = thinking - instruct
    base = float(instruct.mean())
    ratios = np.arange(CURVE_STEPS + 1) / CURVE_STEPS
    found = {"random": [round(base + float(ratio * gains.mean()), 6) for ratio in ratios]}
    for name, ranking in {**rankings, "outcomes known": gains}.items():
        share = think_share(ranking)
        found[name] = [round(base + float((gains * (share > 1 - ratio)).mean()), 6) for ratio in ratios]
    return found


def at_threshold(made: PairJudge, threshold: float) -> PairJudge:
    """The same judge with its scores shifted, in log-odds, so that the chosen threshold becomes `threshold`.

    The order and every decision stay; the score is no probability any more. Raises ValueError outside (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"--at-threshold lies between 0 and 1, not at {threshold}")
    chosen = min(max(made.report["threshold"], 0.001), 0.999)
    shift = np.log(threshold / (1 - threshold)) - np.log(chosen / (1 - chosen))

    def shifted(score: float) -> float:
        return float(1 / (1 + np.exp(-(np.log(score / (1 - score)) + shift))))

    card, scores = made.weights.card, np.array([shifted(s) for s in made.weights.calibration_scores])
    card = {
        **card,
        "calibration": {**card["calibration"], "scores": scores.tolist()},
        "thresholds": {ratio: round(shifted(value), 4) for ratio, value in card["thresholds"].items()},
        "adapted": {**card["adapted"], "threshold": threshold},
    }
    weights = replace(made.weights, calibration_scores=scores, card=card)
    operation = {**made.report["operation"], "threshold": threshold}
    return PairJudge(weights, {**made.report, "threshold": threshold, "operation": operation})


def save(directory: Path, weights: LinearWeights) -> None:
    """Write weights and card as the linear judge reads them. Raises OSError."""
    scores, logits = weights.calibration_scores.tolist(), weights.calibration_logits.tolist()
    card = {
        **weights.card,
        "version": weights.version,
        "bias": weights.bias,
        "calibration": {"logits": logits, "scores": scores},
    }
    save_weights(directory, weights.table, weights.shape, weights.orders, card, concepts_of(weights))


def concepts_of(weights: LinearWeights) -> dict[str, dict[int, float]]:
    """Concept name -> bucket -> share of a term, as `save_weights` takes them."""
    names = [str(name) for name in weights.card.get("concepts", [])]
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    for bucket, meanings in weights.meanings.items():
        for number, share in meanings:
            found[names[number]][bucket] = share
    return found


def _digest(weights: LinearWeights, calibration: Calibration) -> str:
    whole = hashlib.sha256(weights.table.tobytes())
    for part in (weights.shape, weights.orders.pushing, calibration.logits, calibration.scores):
        whole.update(np.ascontiguousarray(part).tobytes())
    whole.update(repr(weights.bias).encode())
    return whole.hexdigest()[:8]
