"""Measure scores on examples: ranking, calibration, recovered gain; beside the baselines. Draws and prints nothing."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.training.baselines import baselines
from router.training.examples import Example
from router.training.metrics import (
    RATIOS,
    accuracy_at,
    auroc,
    average_recovered,
    expected_calibration_error,
    recovered,
    reliability,
)
from router.training.traffic import with_outcomes

Vector = NDArray[np.float64]
LEAST_ROWS: Final = 200
"""A language or domain is reported on its own from this many labelled rows."""

_LEAST_CLASS: Final = 20


def evaluate(examples: Sequence[Example], scores: Vector, ranks: Vector | None = None) -> dict[str, Any]:
    """Everything that the examples allow: ranking by label, calibration, per-source gain, and recovered gain.

    `ranks` orders the examples where `scores` cannot: nested calibrations, one a source, shift whole sources against
    one another, which no judge in use does. By default the scores do.
    """
    ranks = scores if ranks is None else ranks
    report: dict[str, Any] = {
        "rows": len(examples),
        "weak_label": ranking(examples, ranks, lambda example: example.label),
        "hard_vs_easy": ranking(examples, ranks, lambda example: example.hard),
        "calibration": calibration_of(examples, scores),
        "gain": gain_by_source(examples, ranks),
    }
    known = [index for index, example in enumerate(examples) if example.gain is not None]
    if known:
        chosen = [examples[index] for index in known]
        report["routing"] = routing(chosen, ranks[known])
    return report


def ranking(examples: Sequence[Example], scores: Vector, truth: Callable[[Example], int | None]) -> dict[str, Any]:
    """AUROC pooled, per source, language and domain group, with macro averages.

    A source of both classes is measured within itself; a source of one class against the other class of all other
    sources.
    """
    labels = np.array([-1 if (value := truth(example)) is None else value for example in examples])
    known = labels >= 0
    if not known.any():
        return {}
    sources = _groups(examples, known, lambda example: example.source)
    by_source = {name: _against_others(index, labels, scores, known) for name, index in sources.items()}
    by_language = _within(examples, known, labels, scores, lambda example: example.lang)
    by_domain = {
        name: _against_others(index, labels, scores, known)
        for name, index in _groups(examples, known, lambda example: example.domain.partition("/")[0]).items()
        if len(index) >= LEAST_ROWS
    }
    baseline = baselines(examples, scores)
    return {
        "rows": int(known.sum()),
        "auroc": _rounded(auroc(scores[known], labels[known])),
        "macro_over_sources": _mean(by_source),
        "macro_over_languages": _mean(by_language),
        "by_source": by_source,
        "by_language": by_language,
        "by_domain": by_domain,
        "baselines": {
            name: {
                "auroc": _rounded(auroc(values[known], labels[known])),
                "macro_over_sources": _mean(
                    {source: _against_others(index, labels, values, known) for source, index in sources.items()}
                ),
            }
            for name, values in baseline.items()
        },
    }


def calibration_of(examples: Sequence[Example], scores: Vector) -> dict[str, Any]:
    """ECE and the reliability curve against labels (weak, else outcome) and against the soft targets."""
    known = np.array([example.hard is not None for example in examples])
    if not known.any():
        return {}
    labels = np.array([float(example.hard or 0) for example in examples])
    targets = np.array([example.target for example in examples])
    return {
        "ece": _rounded(expected_calibration_error(scores[known], labels[known])),
        "ece_soft_targets": _rounded(expected_calibration_error(scores, targets)),
        "reliability": [[_rounded(value) for value in point] for point in reliability(scores[known], labels[known])],
    }


def gain_by_source(examples: Sequence[Example], scores: Vector) -> dict[str, Any]:
    """AUROC of the outcome label (did thinking help this very question) within each source, and the macro average."""
    labels = np.array([-1 if example.outcome_label is None else example.outcome_label for example in examples])
    found = {
        name: _rounded(auroc(scores[index], labels[index]))
        for name, index in _groups(examples, labels >= 0, lambda example: example.source).items()
        if _LEAST_CLASS <= labels[index].sum() <= len(index) - _LEAST_CLASS
    }
    return {"by_source": found, "macro": _mean(found)}


def routing(examples: Sequence[Example], scores: Vector) -> dict[str, Any]:
    """PGR at fixed think ratios, APGR and accuracies on examples with outcomes, for the judge and every baseline."""
    examples = [with_outcomes(example) for example in examples]
    p_instruct = np.array([example.p_instruct for example in examples], float)
    p_thinking = np.array([example.p_thinking for example in examples], float)
    everyone = {"judge": scores, **baselines(examples, scores)}
    return {
        "rows": len(examples),
        "never_thinking": _rounded(float(p_instruct.mean())),
        "always_thinking": _rounded(float(p_thinking.mean())),
        "curves": {
            name: {
                "apgr": _rounded(average_recovered(values, p_instruct, p_thinking)),
                **{f"pgr@{ratio:.0%}": _rounded(recovered(values, p_instruct, p_thinking, ratio)) for ratio in RATIOS},
                "accuracy": [_rounded(accuracy_at(values, p_instruct, p_thinking, step / 20)) for step in range(21)],
            }
            for name, values in everyone.items()
        },
    }


def _groups(
    examples: Sequence[Example], chosen: NDArray[np.bool_], key: Callable[[Example], str]
) -> dict[str, NDArray[np.int64]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index in np.flatnonzero(chosen).tolist():
        found[key(examples[index])].append(index)
    return {name: np.array(found[name], np.int64) for name in sorted(found)}


def _within(
    examples: Sequence[Example],
    known: NDArray[np.bool_],
    labels: NDArray[np.int64],
    scores: Vector,
    key: Callable[[Example], str],
) -> dict[str, float]:
    """AUROC inside each group of enough rows that has both classes."""
    groups = _groups(examples, known, key)
    found = {
        name: _rounded(auroc(scores[index], labels[index]))
        for name, index in groups.items()
        if len(index) >= LEAST_ROWS
    }
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _against_others(
    index: NDArray[np.int64], labels: NDArray[np.int64], scores: Vector, known: NDArray[np.bool_]
) -> float:
    own = labels[index]
    if _LEAST_CLASS <= own.sum() <= len(own) - _LEAST_CLASS:
        return _rounded(auroc(scores[index], own))
    major = int(own.mean() >= 0.5)
    mask = known & (labels == 1 - major)
    mask[index] = True
    return _rounded(auroc(scores[mask], labels[mask]))


def _mean(values: Mapping[str, float]) -> float:
    finite = [value for value in values.values() if not np.isnan(value)]
    return _rounded(float(np.mean(finite))) if finite else float("nan")


def _rounded(value: float) -> float:
    return round(float(value), 4)
