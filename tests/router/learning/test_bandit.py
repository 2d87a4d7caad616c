"""Estimates from one outcome a row: unbiased where they say so, and refused where they would be wild."""

import numpy as np
import pytest

from router.learning.bandit import (
    Feedback,
    direct,
    doubly_robust,
    inverse_propensity,
    rewards_of_modes,
    self_normalised,
)

COUNT = 400


def world(seed: int) -> tuple[np.ndarray, np.ndarray, Feedback]:
    """(instruct's, thinking's reward, what a log that thinks at one in five shows)."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed + 1)
    instruct, thinking = fixed.integers(0, 2, COUNT) * 1.0, fixed.random(COUNT) ** 0.3
    thinks = (rng.random(COUNT) < 0.2).astype(float)
    seen = np.where(thinks == 1, thinking, instruct)
    return instruct, thinking, Feedback(thinks, np.where(thinks == 1, 0.2, 0.8), seen, thinks)


POLICY = np.linspace(0.1, 0.9, COUNT)


def mean_estimate(estimate) -> float:
    return float(np.mean([estimate(world(seed)[2]) for seed in range(300)]))


def truth() -> float:
    instruct, thinking, _ = world(0)
    return float(np.mean(POLICY * thinking + (1 - POLICY) * instruct))


def test_ips_snips_and_doubly_robust_hit_the_truth_on_average() -> None:
    wrong = np.full(COUNT, 0.9), np.full(COUNT, 0.1)  # a model that is wrong of both modes
    assert mean_estimate(lambda f: inverse_propensity(f, POLICY).value) == pytest.approx(truth(), abs=0.01)
    assert mean_estimate(lambda f: self_normalised(f, POLICY).value) == pytest.approx(truth(), abs=0.01)
    assert mean_estimate(lambda f: doubly_robust(f, *wrong, POLICY).value) == pytest.approx(truth(), abs=0.02)
    assert abs(direct(*wrong, POLICY).value - truth()) > 0.1


def test_a_good_model_makes_doubly_robust_narrower_than_ips() -> None:
    instruct, thinking, feedback = world(0)
    robust = doubly_robust(feedback, instruct, thinking, POLICY)
    assert robust.error < 0.8 * inverse_propensity(feedback, POLICY).error
    assert robust.value == pytest.approx(truth())


def test_the_error_is_that_of_the_mean() -> None:
    wrong = np.full(COUNT, 0.5), np.full(COUNT, 0.5)
    estimates = [doubly_robust(world(seed)[2], *wrong, POLICY) for seed in range(300)]
    spread = np.std([estimate.value for estimate in estimates])
    # the rows are fixed here, their own spread does not move the mean: the stated error is the larger one
    assert 0.8 < np.mean([estimate.error for estimate in estimates]) / spread < 1.5


def test_rewards_of_modes_are_the_models_where_nothing_was_seen() -> None:
    feedback = Feedback(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.zeros(2))
    instruct, thinking = rewards_of_modes(feedback, np.array([0.3, 0.4]), np.array([0.6, 0.7]))
    assert instruct.tolist() == pytest.approx([0.3, 0.4 - 0.8])
    assert thinking.tolist() == pytest.approx([0.6 + 0.8, 0.7])


@pytest.mark.parametrize("propensity", [0.0, 0.001, 1.5])
def test_propensities_that_would_drown_the_rest_are_refused(propensity: float) -> None:
    with pytest.raises(ValueError, match="propensities"):
        Feedback(np.ones(1), np.array([propensity]), np.ones(1), np.ones(1))
