"""What a judge has to beat: chance, length, keywords, oracles. Knows examples and scores; knows no model."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.judges.seeded import RandomJudge
from router.training.examples import Example

Vector = NDArray[np.float64]

_MATHS_WORDS: Final = re.compile(
    r"\b(?:prove|proof|solve|compute|calculate|determine|find all|how many|integers?|equation|function|probability"
    r"|triangle|polynomial|matrix|remainder|algorithm|puzzle|sequence|maximum|minimum|sum|product|grid|rules)\b"
    r"|\\[a-z]+|\$|\^|=|证明|求|方程|函数|概率|多少|整数|三角形|最大|最小|計算|確率|方程式",
    re.IGNORECASE,
)


def random_scores(examples: Sequence[Example]) -> Vector:
    """Seeded chance."""
    judge = RandomJudge(0)
    return np.array([judge.score(example.conversation).score for example in examples])


def length_scores(examples: Sequence[Example]) -> Vector:
    """Characters of the judged text: longer means harder."""
    return np.array([float(len(example.conversation.work)) for example in examples])


def keyword_scores(examples: Sequence[Example]) -> Vector:
    """How many different maths and puzzle keywords the text has."""
    return np.array(
        [float(len({word.lower() for word in _MATHS_WORDS.findall(example.conversation.work)})) for example in examples]
    )


def shuffled_scores(scores: Vector, seed: int = 0) -> Vector:
    """The judge's own scores dealt out at random: the same think ratio and cost at every threshold, no knowledge."""
    shuffled: Vector = np.random.default_rng(seed).permutation(scores)
    return shuffled


def domain_oracle(examples: Sequence[Example]) -> Vector:
    """The mean gain (or hard label) of each example's own domain, known from the answers: no text judge sees it."""
    truth = _truth(examples)
    domains = [example.domain for example in examples]
    means: dict[str, float] = {}
    for domain in set(domains):
        values = [value for value, own in zip(truth, domains, strict=True) if own == domain and not np.isnan(value)]
        means[domain] = float(np.mean(values)) if values else 0.0
    return np.array([means[domain] for domain in domains])


def outcome_oracle(examples: Sequence[Example]) -> Vector:
    """Each example's own gain (or hard label): the ceiling."""
    return np.nan_to_num(_truth(examples), nan=0.0)


def baselines(examples: Sequence[Example], scores: Vector) -> Mapping[str, Vector]:
    """Name -> scores of every comparison, for the judge's own `scores`."""
    return {
        "random": random_scores(examples),
        "length": length_scores(examples),
        "keywords": keyword_scores(examples),
        "shuffled at equal cost": shuffled_scores(scores),
        "domain oracle": domain_oracle(examples),
        "outcome oracle": outcome_oracle(examples),
    }


def _truth(examples: Sequence[Example]) -> Vector:
    return np.array(
        [
            example.gain if example.gain is not None else (np.nan if example.hard is None else float(example.hard))
            for example in examples
        ]
    )
