"""Train a policy on two rewards by clipped updates. Knows rewards and a matrix; knows no texts and no log.

As KAT-V1's AutoThink does for one model: a judge reward (is the mode what the outcomes recommend?) and an answer reward
(what was the answer worth?), first the one, then both. Rewards of both modes are doubly robust estimates from a log
that holds one of them, so that the surrogate of PPO (Schulman et al., 2017) is an exact mean over the two modes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit

from router.learning.bandit import Feedback, rewards_of_modes

Vector = NDArray[np.float64]
_MOST: Final = 3.0
"""An advantage counts at most so much: a row that was explored at one in twenty would drown the others."""


@dataclass(frozen=True, slots=True)
class Rewards:
    """For each row, thinking's reward less instruct's: by the judge (1 or -1) and by the answer (its utility)."""

    judge: Vector
    answer: Vector

    def rows(self, index: NDArray[np.int64]) -> "Rewards":
        """The rewards of some rows."""
        return Rewards(self.judge[index], self.answer[index])


@dataclass(frozen=True, slots=True)
class Training:
    """How to train. `judge_weight` and `answer_weight` of the rewards' sum; a weight of 0 leaves a reward out.

    `clip` bounds the ratio of new to old probability in one stage of updates; `entropy_floor` is the least mean entropy
    (nats) of the policy; `shrinkage` pulls parameters to where they began.
    """

    judge_weight: float = 1.0
    answer_weight: float = 1.0
    clip: float = 0.2
    entropy_floor: float = 0.15
    shrinkage: float = 0.02
    step: float = 4.0
    updates: int = 30
    stages: int = 6


def rewards_from(feedback: Feedback, expected_instruct: Vector, expected_thinking: Vector) -> Rewards:
    """The judge's word from the outcome model, the answer's from what was seen, doubly robust."""
    instruct, thinking = rewards_of_modes(feedback, expected_instruct, expected_thinking)
    return Rewards(np.where(expected_thinking > expected_instruct, 1.0, -1.0), thinking - instruct)


def train(matrix: csr_matrix, rewards: Rewards, start: Vector, training: Training, only_judge: bool) -> Vector:
    """Parameters after `stages` times `updates` steps; `only_judge` is the first stage of learning."""
    answer_weight = 0.0 if only_judge and training.judge_weight else training.answer_weight
    advantage = training.judge_weight * rewards.judge + answer_weight * rewards.answer
    advantage = np.clip(advantage, -_MOST, _MOST)
    transposed = matrix.T.tocsr()
    parameters, moved = start.copy(), np.zeros_like(start)
    for _ in range(training.stages):
        old = expit(matrix @ parameters)
        for _ in range(training.updates):
            slope = surrogate_slope(expit(matrix @ parameters), old, advantage, training.clip)
            slope = slope + _entropy_slope(matrix @ parameters, training.entropy_floor)
            gradient = transposed @ slope / len(slope) - training.shrinkage * (parameters - start) / 10
            moved = 0.8 * moved + training.step * gradient
            parameters = parameters + moved
    return parameters


def surrogate_slope(policy: Vector, old: Vector, advantage: Vector, clip: float) -> Vector:
    """The clipped surrogate's derivative by each row's log-odds.

    With D thinking's advantage over instruct, the modes' own advantages under the old policy are (1 - old) D and
    -old D; a mode whose probability has moved by `clip` in the direction of its advantage pushes no more.
    """
    up = advantage > 0
    by_thinking, by_instruct = policy / old, (1 - policy) / (1 - old)
    thinking_free = np.where(up, by_thinking < 1 + clip, by_thinking > 1 - clip)
    instruct_free = np.where(up, by_instruct > 1 - clip, by_instruct < 1 + clip)
    free = (1 - old) * thinking_free + old * instruct_free
    return np.asarray(policy * (1 - policy) * advantage * free, np.float64)


def entropy(policy: Vector) -> float:
    """Mean entropy of the choice between the modes, in nats; 0.69 at most."""
    p = np.clip(policy, 1e-12, 1 - 1e-12)
    return float(-np.mean(p * np.log(p) + (1 - p) * np.log(1 - p)))


def _entropy_slope(logits: Vector, floor: float) -> Vector:
    """A push back towards indifference while the mean entropy is below the floor."""
    policy = expit(logits)
    if entropy(policy) >= floor:
        return np.zeros(len(logits))
    return np.asarray(-logits * policy * (1 - policy), np.float64)
