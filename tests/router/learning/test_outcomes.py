"""Rows of outcomes, and what they are worth."""

import numpy as np
import pytest

from router.judges.batch import RowError
from router.learning.outcomes import Utility, average_gain, read_outcomes, think_share
from router.training.metrics import average_recovered

ROW = {"prompt": "hi", "instruct_correct": 0.5, "thinking_correct": 1.0, "instruct_tokens": 10, "thinking_tokens": 510}


def test_rows_without_both_outcomes_are_left_out() -> None:
    found = read_outcomes([ROW, {"prompt": "x", "instruct_correct": 1}, {**ROW, "group": "g"}])
    assert len(found) == 2
    assert found.groups == ("", "g")
    assert np.isnan(found.thinking_seconds).all()


@pytest.mark.parametrize("value", ["yes", -0.1, 1.5, float("nan")])
def test_a_correctness_that_is_none_is_reported_by_its_row(value: object) -> None:
    with pytest.raises(RowError, match="row 2: `thinking_correct` must be a number from 0 to 1"):
        read_outcomes([ROW, {**ROW, "thinking_correct": value}])


def test_utility_takes_the_price_of_each_thousand_tokens_off() -> None:
    assert Utility().gains(read_outcomes([ROW])).tolist() == [0.5]
    assert Utility(0.1).gains(read_outcomes([ROW]))[0] == pytest.approx(0.45)


def test_a_price_of_what_nobody_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="thinking_seconds"):
        Utility(0.1, "seconds").gains(read_outcomes([ROW]))


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_number_from_nothing_on(price: float) -> None:
    with pytest.raises(ValueError, match="price"):
        Utility(price)


def test_the_average_gain_is_apgr_times_the_gap() -> None:
    rng = np.random.default_rng(0)
    scores, instruct, thinking = rng.random(400), rng.integers(0, 2, 400), rng.integers(0, 2, 400) * 1.0
    thinking[scores > 0.5] = 1.0
    gap = float(thinking.mean() - instruct.mean())
    expected = average_recovered(scores, instruct, thinking, steps=400) * gap
    assert average_gain(scores, thinking - instruct) == pytest.approx(expected, abs=1e-3)


def test_ties_share_their_thinking() -> None:
    assert think_share([1.0, 1.0, 1.0, 1.0]).tolist() == [0.5] * 4
