"""From data files to a judge in a directory. Knows the order of the steps; each step knows its own work."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.judges.weights import save_weights
from router.training.calibration import calibrate, thresholds_for
from router.training.compose import SOURCE as COMPOSED
from router.training.compose import disguised, long_easy
from router.training.dataset import CAP, balanced, capped, data_files, read_examples
from router.training.examples import Example
from router.training.features import features_of
from router.training.holdout import fold_of, left_out_logits
from router.training.model import RECIPE, Recipe, fit
from router.training.templates.generate import SOURCE as TEMPLATES
from router.training.templates.generate import paragraph_examples, puzzle_examples, template_examples

NAME: Final = "linear"
VERSION: Final = "2026.11.1"
TEMPLATE_WEIGHT: Final = 4.0
"""How much a template's example counts beside one of a data set: templates cover what no data set does."""

EXTRA_WEIGHT: Final = 4.0
"""How much an `extra` example counts: the user's own traffic is what the judge will see."""

Progress = Callable[[str, int, int], None]


def train(
    data: Path,
    out: Path,
    extra: Sequence[Path] = (),
    recipe: Recipe = RECIPE,
    version: str = VERSION,
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Any]:
    """Train on the files of the directory `data` and the files `extra`, write the judge to `out`, return its card.

    Deterministic: the same data give the same weights. `extra` rows are never capped away and weigh as one source.
    """
    progress("reading", 0, 1)
    everything = assemble(read_examples(data_files(data)), read_examples(extra))
    progress("features", 0, 1)
    features = features_of([example.conversation for example in everything], recipe.bits)
    logits = left_out_logits(
        everything,
        features,
        recipe,
        generated=is_generated,
        progress=lambda name, done, total: progress(f"leaving out {name}", done, total),
    )
    targets = np.array([example.target for example in everything])
    weights = np.array([example.weight for example in everything])
    judged = ~np.isnan(logits)
    calibration = calibrate(logits[judged], targets[judged], weights[judged])
    progress("fitting on everything", 0, 1)
    folds = np.unique([fold_of(example) for example in everything], return_inverse=True)[1].astype(np.int64)
    model = fit(features, targets, weights, folds, recipe)
    scores = calibration(model.logits(features))
    card = {
        "name": NAME,
        "version": version,
        "bias": model.bias,
        "calibration": {"logits": calibration.logits.tolist(), "scores": calibration.scores.tolist()},
        "thresholds": thresholds_for(scores, weights),
        "recipe": {name: getattr(recipe, name) for name in recipe.__slots__},
        "sources": _sources(everything),
    }
    save_weights(out, model.table, model.shape, card)
    progress("done", 1, 1)
    return card


def assemble(examples: Sequence[Example], extra: Sequence[Example] = ()) -> list[Example]:
    """Everything that is trained on: capped examples, templates, compositions of both, and `extra`; weights balanced."""
    kept = capped(examples, CAP)
    made = [
        *template_examples(),
        *paragraph_examples(),
        *puzzle_examples(),
        *long_easy(kept, len(kept) // 12),
        *disguised(kept, len(kept) // 8),
    ]
    own = [replace(example, weight=EXTRA_WEIGHT, facts={**example.facts, "extra": "yes"}) for example in extra]
    weighed = [
        replace(example, weight=example.weight * TEMPLATE_WEIGHT) if example.source == TEMPLATES else example
        for example in balanced([*kept, *made])
    ]
    return [*weighed, *own]


def is_generated(example: Example) -> bool:
    """Whether an example is trained on but never measured on: templates, compositions, `extra`."""
    return example.source in (TEMPLATES, COMPOSED) or "extra" in example.facts


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
