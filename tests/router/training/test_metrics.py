"""The numbers that say how good a score is."""

import math

import numpy as np
import pytest

from router.training.calibration import calibrate, thresholds_for
from router.training.metrics import (
    accuracy_at,
    auroc,
    average_recovered,
    expected_calibration_error,
    recovered,
    thinking_mask,
)
from router.training.minimise import minimise


def test_auroc_counts_pairs_in_the_right_order_and_ties_half() -> None:
    assert auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert auroc([1, 1, 1, 1], [0, 1, 0, 1]) == 0.5
    assert math.isnan(auroc([0.1, 0.2], [1, 1]))


def test_calibration_error_is_zero_for_honest_scores() -> None:
    assert expected_calibration_error([0.25] * 4 + [0.75] * 4, [0, 0, 0, 1, 1, 1, 1, 0]) == 0.0
    assert expected_calibration_error([0.95] * 10, [0] * 10) == pytest.approx(0.95)


def test_ties_at_the_edge_share_the_thinking() -> None:
    assert thinking_mask([0.9, 0.5, 0.5, 0.1], 0.5).tolist() == [1.0, 0.5, 0.5, 0.0]
    assert thinking_mask([0.9, 0.1], 0.0).tolist() == [0.0, 0.0]


def test_an_oracle_recovers_the_whole_gap_and_chance_its_share() -> None:
    p_instruct, p_thinking = [1.0] * 7 + [0.0] * 3, [1.0] * 10
    oracle = [0.0] * 7 + [1.0] * 3
    assert recovered(oracle, p_instruct, p_thinking, 0.3) == pytest.approx(1.0)
    assert recovered([0.5] * 10, p_instruct, p_thinking, 0.3) == pytest.approx(0.3)
    assert average_recovered([0.5] * 10, p_instruct, p_thinking) == pytest.approx(0.5)
    assert accuracy_at(oracle, p_instruct, p_thinking, 0.3) == pytest.approx(1.0)


def test_calibrated_scores_rise_and_match_frequencies() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-2 * logits))).astype(float)
    calibration = calibrate(logits, labels)
    assert (np.diff(calibration.scores) > 0).all()
    assert expected_calibration_error(calibration(logits), labels) < 0.03


def test_thresholds_fall_as_the_think_ratio_rises() -> None:
    thresholds = thresholds_for(np.linspace(0, 1, 1001), np.ones(1001))
    assert thresholds["30"] == pytest.approx(0.7, abs=0.01)
    assert list(thresholds.values()) == sorted(thresholds.values(), reverse=True)


def test_the_minimum_of_a_quadratic_is_found() -> None:
    centre, scale = np.arange(50.0), np.linspace(1, 30, 50)
    found = minimise(
        lambda x: (float(scale @ (x - centre) ** 2), 2 * scale * (x - centre)), np.zeros(50), 200, tolerance=1e-14
    )
    assert np.allclose(found, centre, atol=1e-3)
