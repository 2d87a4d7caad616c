"""Seeded drafts of an instruct model, whose log-probabilities tell something of whether it is right. Knows no HTTP.

A model of one, and no measurement: it shows what a bound trades for what.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router.policies.escalation import DraftWatch, Escalation


@dataclass(frozen=True, slots=True)
class Draft:
    """Natural log-probabilities of its tokens, and whether it answers rightly."""

    logprobs: tuple[float, ...]
    right: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of all drafts, and tokens a request: `dropped`, `right` in the end (thinking is right in 95 % of the
    cases), `wasted` tokens of dropped drafts, the most tokens that any was `held` for."""

    dropped: float
    right: float
    wasted: float
    held: int


def drafts(seed: int, n: int) -> list[Draft]:
    """Sixty per cent are right. A token's negative log-probability is exponential, with a mean that varies from draft
    to draft: 0.3 where it is right and 0.8 where it is wrong, both within a factor of about 1.6."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        right = bool(random.random() < 0.6)
        mean = (0.3 if right else 0.8) * random.lognormal(0, 0.5)
        length = 1 + int(random.exponential(60))
        made.append(Draft(tuple(-random.exponential(mean, length)), right))
    return made


def escalate(policy: Escalation, made: Sequence[Draft]) -> Outcome:
    """What the policy makes of the drafts."""
    dropped = right = 0.0
    wasted = held = 0
    for draft in made:
        watch, verdict = DraftWatch(policy), None
        for i, logprob in enumerate(draft.logprobs):
            watch.add((logprob,))
            verdict = watch.verdict(ended=i + 1 == len(draft.logprobs))
            if verdict is not None:
                break
        held = max(held, watch.tokens)
        if verdict:
            right += draft.right
        else:
            dropped += 1
            wasted += watch.tokens
            right += 0.95
    n = len(made)
    return Outcome(dropped / n, right / n, wasted / n, held)
