"""Choose a threshold from scored traffic: for a think ratio, a least quality, or a token budget. Knows no judge.

All functions take one score per prompt of the user's own traffic and give the threshold to put into a profile, with
what that threshold would have done on the same traffic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ABOVE_ALL = 1.01  # a threshold that no score reaches


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold and its effect on the traffic that it was chosen from.

    `think_ratio` is the share of prompts that would think. `quality` is the accuracy relative to always thinking, and
    `tokens` the mean answer tokens per prompt; None where the traffic has no outcomes.
    """

    threshold: float
    think_ratio: float
    quality: float | None = None
    tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What both modes do with one prompt: correctness in [0, 1], answer tokens where known."""

    instruct_correct: float
    thinking_correct: float
    instruct_tokens: float | None = None
    thinking_tokens: float | None = None


def for_think_ratio(scores: Sequence[float], ratio: float, outcomes: Sequence[Outcome] | None = None) -> Choice:
    """The threshold above which the share of prompts is as close to `ratio` as ties allow."""
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"a think ratio lies in [0, 1], not {ratio}")
    candidates = _candidates(scores)
    ratios = np.array([_ratio(scores, threshold) for threshold in candidates])
    return _choice(scores, float(candidates[int(np.argmin(np.abs(ratios - ratio)))]), outcomes)


def for_min_quality(scores: Sequence[float], quality: float, outcomes: Sequence[Outcome]) -> Choice:
    """The highest threshold whose accuracy is at least `quality` times that of always thinking.

    Raises ValueError where not even the best threshold reaches it.
    """
    if not 0.0 < quality <= 2.0:
        raise ValueError(f"a quality is a share of always-thinking accuracy, such as 0.98, not {quality}")
    choices = [_choice(scores, float(threshold), outcomes) for threshold in _candidates(scores)]
    for choice in choices:  # from the highest threshold (cheapest) to the lowest
        if choice.quality is not None and choice.quality >= quality:
            return choice
    best = max((choice.quality or 0.0) for choice in choices)
    raise ValueError(f"no threshold reaches a quality of {quality}: the best on this traffic is {best:.3f}")


def for_token_budget(scores: Sequence[float], tokens: float, outcomes: Sequence[Outcome]) -> Choice:
    """The lowest threshold (most thinking) whose mean answer tokens per prompt do not exceed `tokens`.

    Raises ValueError where the outcomes have no token counts, or where even never thinking costs more.
    """
    choices = [_choice(scores, float(threshold), outcomes) for threshold in _candidates(scores)]
    if any(choice.tokens is None for choice in choices):
        raise ValueError("a token budget needs outcomes with `instruct_tokens` and `thinking_tokens`")
    fitting = [choice for choice in choices if choice.tokens is not None and choice.tokens <= tokens]
    if not fitting:
        raise ValueError(f"even never thinking takes {choices[0].tokens:.0f} tokens per prompt, more than {tokens:.0f}")
    return fitting[-1]


def _candidates(scores: Sequence[float]) -> NDArray[np.float64]:
    """Thresholds from never to always thinking, midway between neighbouring scores."""
    if not len(scores):
        raise ValueError("there are no scores to choose a threshold from")
    distinct = np.unique(np.asarray(scores, float))[::-1]
    between = (distinct[:-1] + distinct[1:]) / 2
    if len(between) > 1000:
        between = between[np.linspace(0, len(between) - 1, 1000).astype(int)]
    return np.concatenate(([_ABOVE_ALL], between, [0.0]))


def _ratio(scores: Sequence[float], threshold: float) -> float:
    return float(np.mean(np.asarray(scores, float) >= threshold))


def _choice(scores: Sequence[float], threshold: float, outcomes: Sequence[Outcome] | None) -> Choice:
    ratio = _ratio(scores, threshold)
    if outcomes is None:
        return Choice(threshold, ratio)
    thinks = np.asarray(scores, float) >= threshold
    instruct = np.array([outcome.instruct_correct for outcome in outcomes])
    thinking = np.array([outcome.thinking_correct for outcome in outcomes])
    always = float(thinking.mean())
    quality = float(np.where(thinks, thinking, instruct).mean()) / always if always else None
    spent = [
        outcome.thinking_tokens if thought else outcome.instruct_tokens
        for outcome, thought in zip(outcomes, thinks, strict=True)
    ]
    known = [tokens for tokens in spent if tokens is not None]
    return Choice(threshold, ratio, quality, float(np.mean(known)) if known and len(known) == len(spent) else None)
