"""Escalation over many drafts: bounded in what it holds, monotone in its bound, and better than dropping at random."""

from itertools import pairwise

import pytest

from router.policies.escalation import Escalation
from tests.simulation.drafts import drafts, escalate

DRAFTS = drafts(1, 4000)
BOUNDS = (-4.0, -1.5, -0.8, -0.6, -0.4, -0.2, -0.01)


@pytest.mark.parametrize("tokens", [4, 24, 64])
def test_no_draft_is_held_for_longer_than_it_may_be(tokens):
    for bound in BOUNDS:
        assert escalate(Escalation(tokens=tokens, bound=bound), DRAFTS).held <= tokens


def test_a_higher_bound_drops_more_and_up_to_a_point_is_right_more_often():
    outcomes = [escalate(Escalation(bound=bound), DRAFTS) for bound in BOUNDS]
    assert all(a.dropped <= b.dropped for a, b in pairwise(outcomes))
    assert all(a.right <= b.right for a, b in pairwise(outcomes[:5]))  # beyond, right ones are dropped too
    assert outcomes[0].dropped < 0.01
    assert outcomes[-1].dropped > 0.99


def test_it_is_better_than_dropping_as_many_at_random():
    alone = sum(draft.right for draft in DRAFTS) / len(DRAFTS)
    for bound in (-0.8, -0.6, -0.4):
        outcome = escalate(Escalation(bound=bound), DRAFTS)
        at_random = alone + outcome.dropped * (0.95 - alone)
        assert outcome.right > at_random + 0.08


def test_bad_drafts_are_dropped_before_the_tokens_are_used_up():
    outcome = escalate(Escalation(tokens=24, bound=-0.4), DRAFTS)
    assert outcome.wasted / outcome.dropped < 0.75 * 24
