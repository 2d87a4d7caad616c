"""Logged bandit feedback: of each request one mode's outcome, and how likely that mode was. Estimates what a policy
would have earned. Knows arrays; knows no judge and no log.

Throughout, `thinks` is 1 where the logged mode was thinking; `propensities` are of the logged mode; a policy is its
probability of thinking on each row. References: Horvitz & Thompson (1952); Dudík, Langford & Li (2011), doubly robust.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
LEAST_PROPENSITY = 0.01
"""Rows that were less likely are refused: one of them would outweigh hundreds of others."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the log tells: `rewards` and `costs` are those of the logged mode."""

    thinks: Vector
    propensities: Vector
    rewards: Vector
    costs: Vector

    def __post_init__(self) -> None:
        if (self.propensities < LEAST_PROPENSITY).any() or (self.propensities > 1).any():
            raise ValueError(f"propensities lie between {LEAST_PROPENSITY} and 1")
        if not np.isin(self.thinks, (0.0, 1.0)).all():
            raise ValueError("a logged mode is 0 or 1")

    def __len__(self) -> int:
        return len(self.thinks)

    def rows(self, index: NDArray[np.int64]) -> "Feedback":
        """The feedback of some rows."""
        return Feedback(self.thinks[index], self.propensities[index], self.rewards[index], self.costs[index])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A policy's mean reward, and the standard error of that."""

    value: float
    error: float


def inverse_propensity(feedback: Feedback, policy: Vector) -> Estimate:
    """IPS: unbiased where the propensities are right; wide where policy and logging differ."""
    return _mean(_ratios(feedback, policy) * feedback.rewards)


def self_normalised(feedback: Feedback, policy: Vector) -> Estimate:
    """SNIPS: a ratio of sums, narrower than IPS, biased by the order of 1/n."""
    ratios = _ratios(feedback, policy)
    value = float((ratios * feedback.rewards).sum() / max(ratios.sum(), 1e-12))
    spread = ratios * (feedback.rewards - value) / max(float(ratios.mean()), 1e-12)
    return Estimate(value, float(spread.std() / np.sqrt(len(spread))))


def direct(expected_instruct: Vector, expected_thinking: Vector, policy: Vector) -> Estimate:
    """The outcome model's own word: as biased as the model."""
    return _mean(policy * expected_thinking + (1 - policy) * expected_instruct)


def doubly_robust(feedback: Feedback, expected_instruct: Vector, expected_thinking: Vector, policy: Vector) -> Estimate:
    """The model's word, put right by what was seen: unbiased if the propensities or the model are right."""
    instruct, thinking = rewards_of_modes(feedback, expected_instruct, expected_thinking)
    return _mean(policy * thinking + (1 - policy) * instruct)


def rewards_of_modes(feedback: Feedback, expected_instruct: Vector, expected_thinking: Vector) -> tuple[Vector, Vector]:
    """(instruct's, thinking's) doubly robust reward of each row: noisy, unbiased, and known for both modes."""
    thought = feedback.thinks == 1.0
    model = np.where(thought, expected_thinking, expected_instruct)
    correction = (feedback.rewards - model) / feedback.propensities
    return expected_instruct + np.where(thought, 0.0, correction), expected_thinking + np.where(
        thought, correction, 0.0
    )


def _ratios(feedback: Feedback, policy: Vector) -> Vector:
    chosen = np.where(feedback.thinks == 1.0, policy, 1 - policy)
    return np.asarray(chosen / feedback.propensities, np.float64)


def _mean(each: Vector) -> Estimate:
    return Estimate(float(each.mean()), float(each.std() / np.sqrt(len(each))))
