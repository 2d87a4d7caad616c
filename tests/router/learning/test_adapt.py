"""Adaptation: from a prior and labels to weights that rank as the labels say, and never worse than the prior."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.judges.linear import LinearJudge
from router.judges.weights import load_weights
from router.learning.adapt import check, choose, fit_correction, held_out
from router.learning.goal import Goal, best_threshold, operation, threshold_for
from router.learning.outcomes import Outcomes, Utility, average_gain, read_outcomes
from router.learning.pair_judge import adapt, at_threshold, save
from router.learning.plots import draw_adaptation
from router.learning.ridge import left_out_errors, solve
from router.learning.views import scales_of, view_of
from tests.router.learning.conftest import rows

PRIOR = load_weights()


def test_leave_one_out_is_what_leaving_one_out_gives() -> None:
    rng = np.random.default_rng(1)
    features, targets = rng.normal(size=(12, 5)), rng.normal(size=12)
    kernel = features @ features.T
    errors = []
    for out in range(12):
        rest = [n for n in range(12) if n != out]
        dual = solve(kernel[np.ix_(rest, rest)], targets[rest], 0.7)
        errors.append((targets[out] - kernel[out, rest] @ dual) ** 2)
    assert left_out_errors(kernel, targets, [0.7]) == [pytest.approx(np.mean(errors))]


def test_the_view_adds_up_to_what_the_judge_says(labels: Outcomes) -> None:
    judge = LinearJudge(PRIOR)
    seen = view_of(PRIOR, labels.conversations).logits
    assert seen == pytest.approx([judge.logit(one) for one in labels.conversations], abs=2e-3)


def test_labels_turn_the_ranking_to_what_they_say(labels: Outcomes) -> None:
    made = adapt(PRIOR, labels, Goal(Utility()))
    assert not made.report["kept_prior"]
    unseen = read_outcomes(rows(200, seed=9, noise=0.0))
    gains = Utility().gains(unseen)
    before, after = LinearJudge(PRIOR), LinearJudge(made.weights)
    old = average_gain([before.score(one).score for one in unseen.conversations], gains)
    new = average_gain([after.score(one).score for one in unseen.conversations], gains)
    assert new > old + 0.1
    assert new > 0.22  # knowing every outcome gives 0.25


def test_labels_that_say_nothing_leave_the_prior(labels: Outcomes) -> None:
    rng = np.random.default_rng(3)
    shuffled = rng.permutation(len(labels))
    noise = replace(
        labels,
        instruct_correct=labels.instruct_correct[shuffled],
        thinking_correct=labels.thinking_correct[shuffled],
    )
    made = adapt(PRIOR, noise, Goal(Utility()))
    assert made.report["kept_prior"]
    assert (made.weights.table == PRIOR.table).all()
    judge, prior = LinearJudge(made.weights), LinearJudge(PRIOR)
    ours = [judge.logit(one) for one in labels.conversations]
    assert ours == [prior.logit(one) for one in labels.conversations]


def test_the_check_looks_at_rows_that_were_not_seen(labels: Outcomes) -> None:
    view, gains = view_of(PRIOR, labels.conversations), Utility().gains(labels)
    shuffled = gains[np.random.default_rng(3).permutation(len(gains))]
    seen = fit_correction(view, gains, PRIOR.bits).predict(view)
    assert np.corrcoef(seen, gains)[0, 1] > 0.5
    assert np.corrcoef(held_out(view, shuffled, PRIOR.bits), shuffled)[0, 1] < 0.25


def test_noise_gets_no_correction_or_a_weak_one(labels: Outcomes) -> None:
    view = view_of(PRIOR, labels.conversations)
    noise = np.random.default_rng(5).normal(size=len(view))
    strength = choose(view, noise, scales_of(view))
    assert strength.penalty is None or strength.penalty >= 3


def test_a_better_ranking_by_chance_is_seldom_accepted() -> None:
    rng = np.random.default_rng(0)
    chances = [rng.integers(-1, 2, 100).astype(float) for _ in range(300)]
    accepted = [check(gains, rng.random(100), rng.random(100)).accepted for gains in chances]
    assert 0.01 < np.mean(accepted) < 0.09  # one in twenty
    assert check(chances[0], rng.random(100), chances[0]).accepted


def test_the_judge_is_read_back_from_its_files(labels: Outcomes, tmp_path: Path) -> None:
    made = adapt(PRIOR, labels, Goal(Utility()))
    save(tmp_path, made.weights)
    read, held = LinearJudge.load(tmp_path), LinearJudge(made.weights)
    for one in labels.conversations[:20]:
        assert read.score(one).score == pytest.approx(held.score(one).score, abs=5e-3)
    assert read.version.startswith(f"{PRIOR.version}+pair.")
    assert read.explain(labels.conversations[0]).features
    assert draw_adaptation(made.report, tmp_path / "plot.png").stat().st_size > 5000


def test_the_same_labels_give_the_same_judge(labels: Outcomes) -> None:
    first, second = (adapt(PRIOR, labels, Goal(Utility())) for _ in range(2))
    assert first.report == second.report
    assert (first.weights.table == second.weights.table).all()


def test_too_few_labels_are_refused(labels: Outcomes) -> None:
    with pytest.raises(ValueError, match="at least 40"):
        adapt(PRIOR, labels.rows(np.arange(39)), Goal(Utility()))


def test_a_shift_moves_the_threshold_and_no_decision(labels: Outcomes) -> None:
    made = adapt(PRIOR, labels, Goal(Utility()))
    moved = at_threshold(made, 0.5)
    before, after = LinearJudge(made.weights), LinearJudge(moved.weights)
    for one in labels.conversations:
        thinks = before.score(one).score >= made.report["threshold"]
        assert (after.score(one).score >= moved.report["threshold"]) == thinks
    assert moved.report["threshold"] == 0.5


def test_the_best_threshold_is_the_best() -> None:
    scores, gains = np.array([0.9, 0.8, 0.8, 0.4, 0.2]), np.array([1.0, -0.5, 1.0, -0.2, 0.1])
    chosen = best_threshold(scores, gains)
    values = {cut: float(gains[scores >= cut].sum()) for cut in (0.0, 0.3, 0.6, 0.85, 1.0)}
    assert float(gains[scores >= chosen].sum()) == max(values.values())
    assert 0.4 < chosen < 0.8
    assert best_threshold(scores, -np.abs(gains)) == 1.0


def test_goals_of_ratio_and_tokens_are_kept(labels: Outcomes) -> None:
    scores = np.linspace(0.01, 0.99, len(labels))
    ratio = threshold_for(scores, labels, Goal(Utility(), think_ratio=0.25))
    assert operation(scores, labels, Utility(), ratio).think_ratio == pytest.approx(0.25, abs=0.01)
    budget = threshold_for(scores, labels, Goal(Utility(), token_budget=60))
    assert 55 < operation(scores, labels, Utility(), budget).tokens <= 60


def test_a_price_makes_less_thinking(labels: Outcomes) -> None:
    cheap, dear = (adapt(PRIOR, labels, Goal(Utility(price))).report["operation"] for price in (0.0, 6.0))
    assert dear["think_ratio"] < cheap["think_ratio"]
