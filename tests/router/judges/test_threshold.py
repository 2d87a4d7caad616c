"""Thresholds chosen from the user's own traffic."""

import pytest

from router.judges.threshold import Outcome, for_min_quality, for_think_ratio, for_token_budget

SCORES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
OUTCOMES = [Outcome(1.0, 1.0, 100, 1000)] * 7 + [Outcome(0.0, 1.0, 100, 1000)] * 3


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_the_threshold_lets_the_asked_share_think(ratio: float) -> None:
    choice = for_think_ratio(SCORES, ratio)
    assert choice.think_ratio == pytest.approx(ratio)
    assert sum(score >= choice.threshold for score in SCORES) / len(SCORES) == pytest.approx(ratio)


def test_ties_bring_the_share_as_close_as_they_allow() -> None:
    assert for_think_ratio([0.5] * 10, 0.3).think_ratio in (0.0, 1.0)


def test_the_least_quality_is_reached_with_the_least_thinking() -> None:
    assert for_min_quality(SCORES, 1.0, OUTCOMES).think_ratio == pytest.approx(0.3)
    assert for_min_quality(SCORES, 0.9, OUTCOMES).think_ratio == pytest.approx(0.2)


def test_a_quality_beyond_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="the best on this traffic"):
        for_min_quality(SCORES, 1.2, OUTCOMES)


def test_a_token_budget_is_spent_but_not_exceeded() -> None:
    choice = for_token_budget(SCORES, 400, OUTCOMES)
    assert choice.think_ratio == pytest.approx(0.3)
    assert choice.tokens == pytest.approx(370)


def test_a_budget_below_never_thinking_is_refused() -> None:
    with pytest.raises(ValueError, match="even never thinking"):
        for_token_budget(SCORES, 50, OUTCOMES)


def test_a_token_budget_needs_token_counts() -> None:
    with pytest.raises(ValueError, match="instruct_tokens"):
        for_token_budget(SCORES, 400, [Outcome(1.0, 1.0)] * 10)


def test_nothing_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="no scores"):
        for_think_ratio([], 0.3)
