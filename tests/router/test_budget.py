"""How much a request may think: whose number counts, and that the cap holds for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.budget import ThinkingBudget

POLICY = ThinkingBudget(by_effort={"low": 1024, "high": 16384}, by_score=((0.5, 2000), (0.8, 8000)), cap=10_000)


@pytest.mark.parametrize(
    ("asked", "effort", "score", "tokens"),
    [
        (500, "high", 0.9, 500),  # the client's own number counts first
        (50_000, "", None, 10_000),  # but for the cap
        (None, "low", 0.9, 1024),  # then its effort
        (None, "high", None, 10_000),
        (None, "medium", 0.6, 2000),  # an effort without a number says nothing here
        (None, "", 0.5, 2000),  # then the score's band, which begins at its number
        (None, "", 0.7999, 2000),
        (None, "", 0.8, 8000),
        (None, "", 1.0, 8000),
        (None, "", 0.49, 10_000),  # below the first band: only the cap
        (None, "", None, 10_000),
    ],
)
def test_whose_number_counts(asked, effort, score, tokens):
    assert POLICY.tokens(asked, effort, score) == tokens


def test_without_a_policy_only_the_client_s_number_is_left():
    assert ThinkingBudget().tokens(7, "high", 0.9) == 7
    assert ThinkingBudget().tokens(None, "high", 0.9) is None


@given(st.none() | st.integers(0, 10**6), st.sampled_from(["", "low", "high", "max"]), st.none() | st.floats(0, 1))
def test_nobody_gets_more_than_the_cap(asked, effort, score):
    tokens = POLICY.tokens(asked, effort, score)
    assert tokens is not None
    assert 0 <= tokens <= 10_000
