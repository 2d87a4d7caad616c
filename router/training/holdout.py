"""Leave one source out: scores for every row by a model that never saw the row's source. Knows folds, no metrics."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from router.training.examples import Example
from router.training.features import Features
from router.training.model import LinearModel, Recipe, fit

Vector = NDArray[np.float64]


def fold_of(example: Example) -> str:
    """The unit of splitting: the source, and for puzzle collections the task within it."""
    return example.facts.get("fold", example.source)


def left_out_logits(
    examples: Sequence[Example],
    features: Features,
    recipe: Recipe,
    fold: Callable[[Example], str] = fold_of,
    always_train: Callable[[Example], bool] = lambda example: False,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    model: Callable[..., LinearModel] = fit,
) -> Vector:
    """Out-of-source log-odds of every example; rows that `always_train` holds for are not scored (NaN).

    Such rows train every fold but that of the source they were made from.
    """
    names = np.array([fold(example) for example in examples], dtype=object)
    generated = np.array([always_train(example) for example in examples])
    numbers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    targets = np.array([example.target for example in examples])
    weights = np.array([example.weight for example in examples])
    logits = np.full(len(examples), np.nan)
    folds = sorted(set(names[~generated]))
    for done, name in enumerate(folds):
        progress(name, done, len(folds))
        out = np.flatnonzero((names == name) & ~generated)
        rest = np.flatnonzero(names != name)
        fitted = model(features.rows(rest), targets[rest], weights[rest], numbers[rest], recipe)
        logits[out] = fitted.logits(features.rows(out))
    return logits
