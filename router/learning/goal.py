"""Where to set the threshold: for a utility, a think ratio or a token budget. Knows scores and outcomes; no judge."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.judges.threshold import Outcome, for_think_ratio, for_token_budget
from router.learning.outcomes import Outcomes, Utility

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Goal:
    """What the threshold is chosen for: the utility, unless `think_ratio` (0 to 1) or `token_budget` (mean answer
    tokens a prompt) is set."""

    utility: Utility
    think_ratio: float | None = None
    token_budget: float | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """A threshold and what it does on labelled prompts; tokens are NaN where they are not known."""

    threshold: float
    think_ratio: float
    correct: float
    tokens: float
    utility: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a report; what is not known is None."""
        named = {name: float(getattr(self, name)) for name in self.__slots__}
        return {name: None if np.isnan(value) else round(value, 6) for name, value in named.items()}


def operation(scores: Vector, outcomes: Outcomes, utility: Utility, threshold: float) -> Operation:
    """What a threshold does."""
    thinks = scores >= threshold
    instruct, thinking = utility.of_modes(outcomes)
    return Operation(
        threshold,
        float(thinks.mean()),
        float(np.where(thinks, outcomes.thinking_correct, outcomes.instruct_correct).mean()),
        float(np.where(thinks, outcomes.thinking_tokens, outcomes.instruct_tokens).mean()),
        float(np.where(thinks, thinking, instruct).mean()),
    )


def threshold_for(scores: Vector, outcomes: Outcomes, goal: Goal) -> float:
    """The threshold for the goal, from scores of judges that have not seen the rows. Raises ValueError where the
    outcomes cannot say, or no threshold reaches the goal."""
    if goal.think_ratio is not None:
        return min(1.0, for_think_ratio(scores.tolist(), goal.think_ratio).threshold)
    if goal.token_budget is not None:
        columns = zip(
            outcomes.instruct_correct.tolist(),
            outcomes.thinking_correct.tolist(),
            outcomes.instruct_tokens.tolist(),
            outcomes.thinking_tokens.tolist(),
            strict=True,
        )
        if np.isnan(outcomes.instruct_tokens).any() or np.isnan(outcomes.thinking_tokens).any():
            raise ValueError("a token budget needs outcomes with `instruct_tokens` and `thinking_tokens`")
        known = [Outcome(*column) for column in columns]
        return min(1.0, for_token_budget(scores.tolist(), goal.token_budget, known).threshold)
    return best_threshold(scores, goal.utility.gains(outcomes))


def best_threshold(scores: Vector, gains: Vector) -> float:
    """The threshold of the highest mean utility, midway between neighbours; of equals the highest (least thinking)."""
    order = np.argsort(-scores, kind="stable")
    ranked, sums = scores[order], np.cumsum(gains[order])
    ends = np.flatnonzero(np.diff(ranked) < 0)  # a threshold cannot part equal scores
    cuts = np.concatenate(([1.01], (ranked[ends] + ranked[ends + 1]) / 2, [0.0]))
    values = np.concatenate(([0.0], sums[ends], sums[-1:]))
    return min(1.0, float(cuts[int(np.argmax(values))]))
