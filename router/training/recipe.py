"""From data files to a judge in a directory. Knows the order of the steps; each step knows its own work."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.judges.weights import load_weights, save_weights
from router.training.calibration import Calibration, calibrate, thresholds_for
from router.training.corpus import assemble
from router.training.dataset import data_files, read_examples
from router.training.examples import Example
from router.training.features import features_of
from router.training.holdout import fold_of
from router.training.lexicon import concept_buckets
from router.training.model import RECIPE, Recipe, fit
from router.training.report import measure_left_out, without_curves

NAME: Final = "linear"
VERSION: Final = "2026.11.3"
Progress = Callable[[str, int, int], None]


def train(
    data: Path,
    out: Path,
    extra: Sequence[Path] = (),
    recipe: Recipe = RECIPE,
    version: str = VERSION,
    calibrated_like: Path | None = None,
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Any]:
    """Train on the files of the directory `data` and the files `extra`, write the judge to `out`, return its card.

    Deterministic: the same data give the same weights. `extra` rows are never capped away. With `calibrated_like`, the
    calibration and metrics of the judge in that directory are taken over, which spares leaving each source out: right
    where only `extra` differs, since calibration never looks at it.
    """
    progress("reading", 0, 1)
    everything = assemble(read_examples(data_files(data)), read_examples(extra))
    progress("features", 0, 1)
    features = features_of([example.conversation for example in everything], recipe.bits)
    weights = np.array([example.weight for example in everything])
    if calibrated_like is not None:
        other = load_weights(calibrated_like)
        calibration = Calibration(other.calibration_logits, other.calibration_scores)
        metrics = other.card["metrics"]
    else:
        report, logits = measure_left_out(
            everything, features, recipe, progress=lambda name, done, total: progress(f"without {name}", done, total)
        )
        truth = np.array([example.truth for example in everything])
        judged = ~np.isnan(logits)
        calibration = calibrate(logits[judged], truth[judged])
        metrics = {"split": "each source left out in turn", **without_curves(report)}
    progress("fitting on everything", 0, 1)
    folds = np.unique([fold_of(example) for example in everything], return_inverse=True)[1].astype(np.int64)
    model = fit(features, np.array([example.goal for example in everything]), weights, folds, recipe)
    scores = calibration(model.logits(features))
    card = {
        "name": NAME,
        "version": version,
        "bias": model.bias,
        "calibration": {"logits": calibration.logits.tolist(), "scores": calibration.scores.tolist()},
        "thresholds": thresholds_for(scores, weights),
        "recipe": {name: getattr(recipe, name) for name in recipe.__slots__},
        "metrics": metrics,
        "sources": _sources(everything),
    }
    save_weights(out, model.table, model.shape, model.orders, card, concept_buckets(recipe.bits))
    progress("done", 1, 1)
    return card


def _sources(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Rows, languages and licence of each source that was trained on."""
    rows = Counter(example.source for example in examples)
    licenses = {example.source: example.license for example in examples}
    languages: dict[str, set[str]] = {}
    for example in examples:
        languages.setdefault(example.source, set()).add(example.lang)
    return [
        {"source": source, "rows": rows[source], "license": licenses[source], "languages": sorted(languages[source])}
        for source in sorted(rows)
    ]
