"""Evaluate a judge, or a recipe on sources that it has not seen, and say so in one report. Knows the order of steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.judges.linear import LinearJudge
from router.training.baselines import baselines
from router.training.calibration import calibrate
from router.training.corpus import assemble, is_generated
from router.training.evaluation import evaluate, routing
from router.training.examples import Example
from router.training.features import Features, features_of
from router.training.holdout import fold_of, held_out_models
from router.training.metrics import auroc
from router.training.model import RECIPE, Recipe
from router.training.traffic import shortcut_free, traffic, with_outcomes

Vector = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

FAMILIES: Final = {
    "math500": "MATH",
    "math-l5": "MATH",
    "mt-math500": "MATH",
    "gsm8k": "GSM8K",
    "gsm8k-train": "GSM8K",
    "mgsm": "GSM8K",
    "mmlu": "MMLU",
    "mmlu-pro": "MMLU",
    "mmlu-prox": "MMLU",
    "med/mmlu": "MMLU",
    "med/mmlu-pro": "MMLU",
}
"""Sources that share questions with one another (translations, subsets): the stricter split leaves all of them out."""


def family_of(example: Example) -> str:
    """The unit of the stricter split."""
    fold = fold_of(example)
    return FAMILIES.get(fold, fold)


def judge_report(examples: Sequence[Example], judge: LinearJudge) -> dict[str, Any]:
    """How a finished judge does on examples; honest only where it was not trained on their sources."""
    scores = np.array([judge.score(example.conversation).score for example in examples])
    report = evaluate(examples, scores)
    chosen = traffic(examples)
    if chosen:
        report["traffic"] = routing([with_outcomes(examples[index]) for index in chosen], scores[chosen])
    return {"judge": f"{judge.name}@{judge.version}", **report}


def left_out_report(
    examples: Sequence[Example],
    recipe: Recipe = RECIPE,
    fold: Callable[[Example], str] = fold_of,
    progress: Progress = lambda name, done, total: None,
) -> dict[str, Any]:
    """How the recipe does on sources that it has not seen: every source is left out in turn, the recipe stays fixed.

    Calibration is nested: a source's scores are calibrated on the out-of-source logits of the other sources.
    """
    everything = assemble(examples)
    features = features_of([example.conversation for example in everything], recipe.bits)
    return measure_left_out(everything, features, recipe, fold, progress)[0]


def measure_left_out(
    everything: Sequence[Example],
    features: Features,
    recipe: Recipe,
    fold: Callable[[Example], str] = fold_of,
    progress: Progress = lambda name, done, total: None,
) -> tuple[dict[str, Any], Vector]:
    """The report on an assembled corpus, and each example's out-of-source log-odds (NaN for generated ones)."""
    logits = np.full(len(everything), np.nan)
    mixed: list[tuple[Example, float]] = []
    for _, out, model in held_out_models(everything, features, recipe, fold, is_generated, progress):
        logits[out] = model.logits(features.rows(out))
        free = shortcut_free([everything[index] for index in out.tolist()])
        if free:
            own = features_of([example.conversation for example in free], recipe.bits)
            mixed += zip(free, model.logits(own).tolist(), strict=True)
    measured = np.flatnonzero(~np.isnan(logits))
    kept = [everything[index] for index in measured.tolist()]
    report = evaluate(kept, nested_scores(kept, logits[measured], fold), logits[measured])
    chosen = traffic(kept)
    if chosen:
        report["traffic"] = routing([with_outcomes(kept[row]) for row in chosen], logits[measured][chosen])
    if mixed:
        report["shortcut_free"] = _shortcut_report(mixed)
    recipe_used = {name: getattr(recipe, name) for name in recipe.__slots__}
    return {"recipe": recipe_used, **report}, logits


def without_curves(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report as it goes on a card: without the points of its plots and without the recipe."""
    if "accuracy" in report and "apgr" in report:
        return {name: value for name, value in report.items() if name != "accuracy"}
    return {
        name: without_curves(value) if isinstance(value, Mapping) else value
        for name, value in report.items()
        if name not in ("recipe", "reliability")
    }


def nested_scores(examples: Sequence[Example], logits: Vector, fold: Callable[[Example], str] = fold_of) -> Vector:
    """Each example's score by a calibration that has not seen its source."""
    folds = np.array([fold(example) for example in examples], dtype=object)
    truth = np.array([example.truth for example in examples])
    scores = np.empty(len(examples))
    for name in sorted(set(folds)):
        out = folds == name
        scores[out] = calibrate(logits[~out], truth[~out])(logits[out])
    return scores


def _shortcut_report(mixed: Sequence[tuple[Example, float]]) -> dict[str, Any]:
    """AUROC on short hard against long easy prompts, by the model that saw neither's source, and by the baselines."""
    examples = [replace(example, p_instruct=None, p_thinking=None) for example, _ in mixed]
    labels = [example.hard == 1 for example in examples]
    logits = np.array([logit for _, logit in mixed])
    return {
        "rows": len(examples),
        "auroc": round(auroc(logits, labels), 4),
        "baselines": {
            name: round(auroc(values, labels), 4)
            for name, values in baselines(examples, logits).items()
            if "oracle" not in name
        },
    }
