"""How much labels of a source help on questions of it that were left out. Knows examples and judges; reads no file."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.judges.weights import LinearWeights
from router.learning.adapt import check, fit_correction, held_out
from router.learning.outcomes import Outcomes, Utility
from router.learning.views import view_of
from router.training.metrics import average_recovered, recovered

Vector = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
RATIO = 0.3


def learning_curve(
    prior: LinearWeights,
    outcomes: Outcomes,
    sizes: Sequence[int],
    seeds: int,
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Any]:
    """APGR on left-out questions after adapting to each number of labels, for `seeds` splits, beside the prior's.

    `ends` is what the command would have written: the adapted judge where its held-out check accepts it, else the
    prior. Raises ValueError where too few questions are left to test on, or thinking gains
    nothing on them.
    """
    if len(outcomes) < max(sizes) + 100:
        raise ValueError(f"{len(outcomes)} questions with outcomes are too few to learn from {max(sizes)} and test")
    if outcomes.thinking_correct.mean() <= outcomes.instruct_correct.mean():
        raise ValueError("thinking is not better on these questions: there is no gain to recover (APGR)")
    view, gains = view_of(prior, outcomes.conversations), Utility().gains(outcomes)
    runs: list[dict[str, Any]] = []
    for seed in range(seeds):
        shuffled = np.random.default_rng(seed).permutation(len(outcomes))
        test = shuffled[max(sizes) :]
        instruct, thinking = outcomes.instruct_correct[test], outcomes.thinking_correct[test]

        def apgr(scores: Vector, low: Vector = instruct, high: Vector = thinking) -> tuple[float, float]:
            return average_recovered(scores, low, high), recovered(scores, low, high, RATIO)

        before = apgr(view.logits[test])
        known = apgr(gains[test])
        for number, size in enumerate(sizes):
            progress(f"split {seed + 1}: {size} labels", seed * len(sizes) + number, seeds * len(sizes))
            some = shuffled[:size]
            fitted = fit_correction(view.rows(some), gains[some], prior.bits, seed)
            verdict = check(
                gains[some], view.logits[some], held_out(view.rows(some), gains[some], prior.bits, seed), seed
            )
            after = apgr(fitted.predict(view.rows(test)))
            runs.append(
                {
                    "seed": seed,
                    "labels": size,
                    "tested": len(test),
                    "prior": before[0],
                    "adapted": after[0],
                    "ends": after[0] if verdict.accepted else before[0],
                    "prior_pgr": before[1],
                    "adapted_pgr": after[1],
                    "accepted": verdict.accepted,
                    "outcomes_known": known[0],
                }
            )
    return {"prior": f"{prior.name}@{prior.version}", "questions": len(outcomes), "runs": runs, "table": _table(runs)}


def _table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for size in sorted({run["labels"] for run in runs}):
        own = [run for run in runs if run["labels"] == size]
        row: dict[str, Any] = {"labels": size, "accepted": sum(run["accepted"] for run in own), "splits": len(own)}
        for name in ("prior", "adapted", "ends", "prior_pgr", "adapted_pgr", "outcomes_known"):
            values = np.array([run[name] for run in own])
            row[name] = round(float(values.mean()), 4)
            row[f"{name}_error"] = round(float(values.std(ddof=1) / np.sqrt(len(own))), 4) if len(own) > 1 else 0.0
        found.append(row)
    return found
