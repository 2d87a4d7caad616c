"""Leave one source out: models that never saw a source, and their scores of it. Knows folds, no metrics."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from router.training.examples import Example
from router.training.features import Features
from router.training.model import LinearModel, Recipe, fit

Vector = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


def fold_of(example: Example) -> str:
    """The unit of splitting: the source, and for puzzle collections a group of whole tasks."""
    return example.facts.get("fold", example.source)


def held_out_models(
    examples: Sequence[Example],
    features: Features,
    recipe: Recipe,
    fold: Callable[[Example], str],
    generated: Callable[[Example], bool],
    progress: Progress = lambda name, done, total: None,
) -> Iterator[tuple[str, NDArray[np.int64], LinearModel]]:
    """(fold, its rows, the model that never saw it) for every fold.

    Rows that `generated` holds for train every fold but that of the source they were made from; they are not in any.
    """
    names = np.array([fold(example) for example in examples], dtype=object)
    made = np.array([generated(example) for example in examples])
    numbers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    targets = np.array([example.goal for example in examples])
    weights = np.array([example.weight for example in examples])
    folds = sorted(set(names[~made]))
    for done, name in enumerate(folds):
        progress(name, done, len(folds))
        rest = np.flatnonzero(names != name)
        model = fit(features.rows(rest), targets[rest], weights[rest], numbers[rest], recipe)
        yield name, np.flatnonzero((names == name) & ~made), model


def left_out_logits(
    examples: Sequence[Example],
    features: Features,
    recipe: Recipe,
    fold: Callable[[Example], str] = fold_of,
    generated: Callable[[Example], bool] = lambda example: False,
    progress: Progress = lambda name, done, total: None,
) -> Vector:
    """Out-of-source log-odds of every example; NaN for the generated ones."""
    logits = np.full(len(examples), np.nan)
    for _, out, model in held_out_models(examples, features, recipe, fold, generated, progress):
        logits[out] = model.logits(features.rows(out))
    return logits
