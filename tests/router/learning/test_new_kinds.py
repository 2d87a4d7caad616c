"""Scores of prompts whose kind no label holds."""

import pytest

from router.judges.weights import load_weights
from router.learning.new_kinds import scores_as_new
from router.learning.outcomes import Outcomes, Utility, read_outcomes
from tests.router.learning.conftest import rows


def outcomes(names: dict[bool, int]) -> Outcomes:
    """Prompts that thinking helps (True) or hurts, dealt out to so many groups of each."""
    found = rows(160, seed=3, noise=0.0)
    kinds = [row["thinking_correct"] == 1 for row in found]
    grouped = [
        {**row, "group": f"{helped} {number % names[helped]}"}
        for number, (row, helped) in enumerate(zip(found, kinds, strict=True))
    ]
    return read_outcomes(grouped)


def test_a_kind_that_only_its_own_labels_know_is_doubtful_without_them() -> None:
    spread, alone = outcomes({True: 3, False: 3}), outcomes({True: 1, False: 3})
    helped = spread.thinking_correct == 1
    known, new = (scores_as_new(load_weights(), each, Utility(0.05)) for each in (spread, alone))
    assert known[helped].mean() > known[~helped].mean() + 0.5, "other groups hold the same texts: nothing is new"
    assert new[helped].mean() < known[helped].mean() - 0.2


def test_few_groups_are_told() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        scores_as_new(load_weights(), outcomes({True: 1, False: 2}), Utility())
