"""Clipped updates on two rewards, and a whole run where the hidden outcomes are known."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import expit

from router.conversation import read_conversation
from router.judges.linear import LinearJudge
from router.judges.weights import load_weights
from router.learning.design import Design
from router.learning.outcomes import read_outcomes
from router.learning.pair_judge import save
from router.learning.policy import Rewards, Training, entropy, surrogate_slope, train
from router.learning.simulation import Plan, World, estimator_errors, feedback_of, references, simulate, world_of
from router.learning.views import view_of
from tests.router.learning.conftest import rows

PRIOR = load_weights()


@pytest.fixture(scope="module")
def worlds() -> tuple[World, World]:
    whole = world_of(PRIOR, read_outcomes(rows(700, seed=2)), 0.05)
    return whole.rows(np.arange(500)), whole.rows(np.arange(500, 700))


def test_the_slope_is_the_surrogates_derivative() -> None:
    rng = np.random.default_rng(0)
    old, logits, advantage = rng.uniform(0.1, 0.9, 50), rng.normal(size=50), rng.normal(size=50)

    def surrogate(z: np.ndarray) -> np.ndarray:
        new, clip, total = expit(z), 0.2, 0.0
        for fresh, before, own in (
            (new, old, (1 - old) * advantage),
            (1 - new, 1 - old, -old * advantage),
        ):
            ratio = fresh / before
            total = total + before * np.minimum(ratio * own, np.clip(ratio, 1 - clip, 1 + clip) * own)
        return np.asarray(total)

    step = 1e-6
    numeric = (surrogate(logits + step) - surrogate(logits - step)) / (2 * step)
    assert surrogate_slope(expit(logits), old, advantage, 0.2) == pytest.approx(numeric, abs=1e-5)


def test_a_stage_moves_no_further_than_the_clip_lets_it() -> None:
    matrix = csr_matrix(np.eye(4))
    rewards = Rewards(np.array([1.0, 1.0, -1.0, -1.0]), np.zeros(4))
    training = Training(stages=1, updates=2000, entropy_floor=0.0, shrinkage=0.0, step=0.05)
    policy = expit(train(matrix, rewards, np.zeros(4), training, only_judge=True))
    assert policy[0] == pytest.approx(0.6, abs=0.04)  # half, times 1.2
    assert policy[2] == pytest.approx(0.4, abs=0.04)


def test_the_entropy_floor_keeps_the_policy_undecided() -> None:
    matrix, rewards = csr_matrix(np.ones((20, 1))), Rewards(np.ones(20), np.ones(20))
    bold = Training(stages=40, entropy_floor=0.0, shrinkage=0.0)
    careful = Training(stages=40, entropy_floor=0.4, shrinkage=0.0)
    free, held = (expit(matrix @ train(matrix, rewards, np.zeros(1), t, only_judge=False)) for t in (bold, careful))
    assert entropy(free) < 0.2
    assert entropy(held) > 0.35


def test_the_first_stage_knows_the_judge_reward_alone() -> None:
    matrix, rewards = csr_matrix(np.eye(2)), Rewards(np.array([1.0, -1.0]), np.array([-3.0, 3.0]))
    first, both = (train(matrix, rewards, np.zeros(2), Training(), only_judge=only) for only in (True, False))
    assert first[0] > 0 > first[1]
    assert both[0] < 0 < both[1]


def test_a_policy_becomes_a_judge_that_says_the_same(worlds: tuple[World, World], tmp_path: Path) -> None:
    world, _ = worlds
    design = Design.of(world.view, PRIOR.bits)
    parameters = design.start(world.view, 0.6) + np.random.default_rng(0).normal(0, 0.05, design.columns)
    weights = design.to_weights(PRIOR, parameters)
    save(tmp_path, weights)
    judge = LinearJudge.load(tmp_path)
    texts = [str(row["prompt"]) for row in rows(30, seed=5)]
    conversations = [read_conversation([{"role": "user", "content": text}]) for text in texts]
    expected = design.matrix(view_of(PRIOR, conversations)) @ parameters
    assert [judge.logit(one) for one in conversations] == pytest.approx(expected.tolist(), abs=0.02)


def test_the_start_is_the_priors_ranking_at_the_ratio(worlds: tuple[World, World]) -> None:
    world, _ = worlds
    design = Design.of(world.view, PRIOR.bits)
    policy = expit(design.matrix(world.view) @ design.start(world.view, 0.7))
    assert np.mean(policy >= 0.5) == pytest.approx(0.7, abs=0.02)
    assert (np.argsort(policy) == np.argsort(world.view.logits)).mean() > 0.9


def test_the_log_shows_the_chosen_mode_alone(worlds: tuple[World, World]) -> None:
    world, _ = worlds
    thinks = np.tile([0.0, 1.0], 250)
    feedback = feedback_of(world, thinks, np.full(500, 0.5))
    assert (feedback.rewards[::2] == world.instruct[::2]).all()
    assert (feedback.rewards[1::2] == world.thinking[1::2] - 0.05).all()


def test_less_is_thought_and_more_is_right_after_learning(worlds: tuple[World, World]) -> None:
    world, test = worlds
    plan = Plan(rounds=4, judge_rounds=2, batch=120, explore=0.2)
    found = simulate(world, test, plan, Training(), seed=0)
    first, last = found["rounds"][0], found["final"]
    assert last["think_ratio"] < first["think_ratio"] * 2 / 3
    assert last["accuracy"] > first["accuracy"] + 0.2
    marks = references(world, test, 200, 0)
    assert last["utility"] > marks["always thinking"]["utility"] + 0.2
    assert marks["outcomes known"]["utility"] >= max(last["utility"], marks["supervised, both outcomes"]["utility"])
    assert simulate(world, test, plan, Training(), seed=0) == found


def test_estimates_come_nearer_with_more_of_a_log(worlds: tuple[World, World]) -> None:
    world, _ = worlds
    few, many = estimator_errors(world, Plan(explore=0.2), [60, 480], 8, 0)
    assert many["doubly robust"] < few["doubly robust"]
    assert many["doubly robust"] < 0.1
