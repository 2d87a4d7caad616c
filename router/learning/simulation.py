"""Policy training where all outcomes are known but hidden: of each request the learner sees the chosen mode's. Knows
the order of a round; draws nothing.

A round serves a batch of questions by the policy as the gateway would (the likelier mode, the other one at the rate of
exploration), adds what was seen to the log, and trains on the whole log. Everything that is reported is measured on
questions that are in no batch, with both outcomes known.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from router.judges.weights import LinearWeights
from router.learning.adapt import fit_correction
from router.learning.bandit import Feedback, direct, doubly_robust, inverse_propensity, self_normalised
from router.learning.design import Design
from router.learning.outcome_model import expected_rewards
from router.learning.outcomes import Outcomes
from router.learning.policy import Training, entropy, rewards_from, train
from router.learning.views import View, view_of

Vector = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class World:
    """Questions with both outcomes; a thinking answer costs `price` of correctness beside an instruct one."""

    view: View
    instruct: Vector
    thinking: Vector
    price: float
    bits: int

    def rows(self, index: NDArray[np.int64]) -> "World":
        """Some questions."""
        return replace(self, view=self.view.rows(index), instruct=self.instruct[index], thinking=self.thinking[index])

    def accuracy(self, thinks: Vector) -> float:
        """Mean correctness of a policy."""
        return float(np.mean(thinks * self.thinking + (1 - thinks) * self.instruct))

    def utility(self, thinks: Vector) -> float:
        """The same, less the price of thinking."""
        return self.accuracy(thinks) - self.price * float(thinks.mean())


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` batches of `batch` questions; the first `judge_rounds` train on the judge reward alone. The policy
    begins as the prior's ranking at `first_ratio`, explores at rate `explore`, and ends after `patience` rounds without
    a better estimate."""

    rounds: int = 10
    judge_rounds: int = 4
    batch: int = 500
    first_ratio: float = 0.9
    explore: float = 0.1
    patience: int = 6


def world_of(prior: LinearWeights, outcomes: Outcomes, price: float) -> World:
    """The questions as the prior sees them."""
    view = view_of(prior, outcomes.conversations)
    return World(view, outcomes.instruct_correct, outcomes.thinking_correct, price, prior.bits)


def simulate(world: World, test: World, plan: Plan, training: Training, seed: int) -> dict[str, Any]:
    """Rounds of learning; one entry a round, the first before any."""
    rng = np.random.default_rng(seed)
    design = Design.of(world.view, world.bits)
    matrix, test_matrix = design.matrix(world.view), design.matrix(test.view)
    start = parameters = design.start(world.view, plan.first_ratio)
    order = rng.permutation(len(world.view))
    rows: NDArray[np.int64] = np.zeros(0, np.int64)
    thinks = propensities = np.zeros(0)
    entries = [_entry(test, test_matrix @ parameters, None)]
    best, best_value, since, stopped = parameters, -np.inf, 0, ""
    for number in range(plan.rounds):
        some = order[number * plan.batch : (number + 1) * plan.batch]
        if not len(some):
            stopped = "no more questions"
            break
        greedy = (expit(matrix[some] @ parameters) >= 0.5).astype(float)
        turned = rng.random(len(some)) < plan.explore
        rows = np.concatenate((rows, some))
        thinks = np.concatenate((thinks, np.where(turned, 1 - greedy, greedy)))
        propensities = np.concatenate((propensities, np.where(turned, plan.explore, 1 - plan.explore)))
        feedback = feedback_of(world.rows(rows), thinks, propensities)
        seen = world.view.rows(rows)
        instruct, thinking = expected_rewards(seen, feedback, seed)
        rewards = rewards_from(feedback, instruct, thinking)
        parameters = train(matrix[rows], rewards, start, training, only_judge=number < plan.judge_rounds)
        chosen = (expit(matrix[rows] @ parameters) >= 0.5).astype(float)
        value = doubly_robust(feedback, instruct, thinking, chosen)
        policy = expit(matrix[rows] @ parameters)
        told = {
            "judge_reward": float(np.mean(np.where(chosen == 1, rewards.judge, -rewards.judge))),
            "answer_reward": value.value,
            "entropy": entropy(policy),
        }
        entries.append(_entry(test, test_matrix @ parameters, told))
        if number >= plan.judge_rounds:  # the stop rule: the log's own estimate does not rise any more
            if value.value > best_value + 0.1 * value.error:
                best, best_value, since = parameters, value.value, 0
            else:
                since += 1
            if since >= plan.patience:
                stopped = f"no better estimate for {plan.patience} rounds"
                break
    final = best if best_value > -np.inf else parameters
    return {"rounds": entries, "final": _entry(test, test_matrix @ final, None), "stopped": stopped}


def feedback_of(world: World, thinks: Vector, propensities: Vector) -> Feedback:
    """What the log of these questions tells: the utility of the mode that answered, and no more."""
    rewards = np.where(thinks == 1, world.thinking - world.price, world.instruct)
    return Feedback(thinks, propensities, rewards, thinks)


def references(world: World, test: World, labels: int, seed: int) -> dict[str, dict[str, float]]:
    """What the learner is measured beside: both endpoints, the supervised judge that saw both outcomes of as many
    questions as the learner saw one of, and knowing every outcome."""
    some = np.random.default_rng(seed).permutation(len(world.view))[:labels]
    gains = world.thinking[some] - world.instruct[some] - world.price
    judge = fit_correction(world.view.rows(some), gains, world.bits, seed)
    known = (test.thinking - test.instruct > test.price).astype(float)
    policies = {
        "never thinking": np.zeros(len(known)),
        "always thinking": np.ones(len(known)),
        "supervised, both outcomes": (judge.predict(test.view) > 0).astype(float),
        "outcomes known": known,
    }
    return {name: _facts(test, thinks) for name, thinks in policies.items()}


def estimator_errors(world: World, plan: Plan, sizes: list[int], repeats: int, seed: int) -> list[dict[str, Any]]:
    """How far the estimates of a policy's utility are from the truth: root mean square over `repeats` logs, and how
    often the 95 % interval of the doubly robust one holds it."""
    target = (world.view.logits > np.median(world.view.logits)).astype(float)  # the prior at half
    logging = (world.view.logits > np.quantile(world.view.logits, 1 - plan.first_ratio)).astype(float)
    found = []
    for size in sizes:
        misses: dict[str, list[float]] = {"ips": [], "snips": [], "direct": [], "doubly robust": []}
        inside = 0
        for repeat in range(repeats):
            rng = np.random.default_rng((seed, size, repeat))
            rows = rng.choice(len(world.view), size, replace=False)
            some = world.rows(rows)
            turned = rng.random(size) < plan.explore
            thinks = np.where(turned, 1 - logging[rows], logging[rows])
            feedback = feedback_of(some, thinks, np.where(turned, plan.explore, 1 - plan.explore))
            instruct, thinking = expected_rewards(some.view, feedback, repeat)
            truth, policy = world.utility(target), target[rows]
            robust = doubly_robust(feedback, instruct, thinking, policy)
            inside += abs(robust.value - truth) <= 1.96 * robust.error
            for name, estimate in (
                ("ips", inverse_propensity(feedback, policy)),
                ("snips", self_normalised(feedback, policy)),
                ("direct", direct(instruct, thinking, policy)),
                ("doubly robust", robust),
            ):
                misses[name].append(estimate.value - truth)
        errors = {name: round(float(np.sqrt(np.mean(np.square(each)))), 4) for name, each in misses.items()}
        found.append({"log": size, **errors, "coverage": round(inside / repeats, 3)})
    return found


def _entry(test: World, logits: Vector, told: dict[str, float] | None) -> dict[str, float]:
    return {**_facts(test, (expit(logits) >= 0.5).astype(float)), **(told or {})}


def _facts(test: World, thinks: Vector) -> dict[str, float]:
    facts = {"think_ratio": thinks.mean(), "accuracy": test.accuracy(thinks), "utility": test.utility(thinks)}
    return {name: round(float(value), 4) for name, value in facts.items()}
