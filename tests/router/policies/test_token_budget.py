"""Token budgets, step by step; over long traces they are tested in tests/simulation."""

from itertools import pairwise

import pytest

from router.policies.controls import Controls
from router.policies.in_force import NEVER
from router.policies.token_budget import BudgetPacer, TokenBudget, margin_of
from router.profile import Profile


def test_the_margin_rises_smoothly_from_half_the_room_to_where_nothing_thinks():
    margins = [margin_of(room / 100) for room in range(100, -1, -1)]
    assert margins[:51] == [0.0] * 51
    assert margins == sorted(margins)
    assert max(b - a for a, b in pairwise(margins)) < 0.05
    assert margins[-1] == margin_of(-3.0) == NEVER


def test_the_store_fills_evenly_and_no_further_than_its_size():
    pacer = BudgetPacer(3600, 3600, burst=0.5)  # a store of 1,800; half a token a second
    assert pacer.room(0) == 1
    pacer.settle(0, 1800, 0)
    assert pacer.room(0) == 0
    assert pacer.room(1800) == pytest.approx(0.5)
    assert pacer.room(1e6) == 1


def test_a_thinking_is_paid_when_it_begins_and_settled_when_it_ends():
    pacer = BudgetPacer(100_000, 3600, burst=0.5)
    taken = pacer.take(0)
    assert taken == pacer.expected == 1000
    assert pacer.room(0) == pytest.approx(0.98)
    pacer.settle(taken, 3000, 0)
    assert pacer.room(0) == pytest.approx(0.94)
    assert pacer.expected == 1100  # it has learned


def test_one_that_did_not_think_after_all_costs_nothing_and_teaches_nothing():
    pacer = BudgetPacer(100_000, 3600, burst=0.5)
    pacer.settle(pacer.take(0), 0, 0)
    assert (pacer.room(0), pacer.expected) == (1, 1000)


def test_no_span_gets_more_than_the_budget_however_greedy():
    pacer, spent = BudgetPacer(36_000, 3600, burst=0.1), []
    pacer.expected = 100
    for now_s in range(3 * 3600):
        if pacer.room(now_s) * 3600 >= 100:
            pacer.settle(pacer.take(now_s), 100, now_s)
            spent.append(now_s)
    most = max(sum(100 for at in spent if start <= at < start + 3600) for start in range(0, 7200, 60))
    assert 0.97 * 36_000 < most <= 36_000


def test_the_shortest_budget_counts_and_so_does_the_callers_own():
    controls = Controls(Profile(token_budget=TokenBudget(per_minute=10_000, per_hour=100_000)))
    assert not controls.in_force(0).raised
    taken = controls.thinking_began(0)
    assert len(taken) == 2
    force = controls.in_force(0)
    assert (force.cause, force.threshold) == ("budget", NEVER)  # 1,000 are all that a minute gives at once
    controls.thinking_ended(taken, 0, 0)
    assert not controls.in_force(0).raised
    own = controls.in_force(0, room=0.2)
    assert own.budget == pytest.approx(margin_of(0.2))
    assert not controls.last.raised  # the caller's own is not the profile's


def test_a_reload_keeps_what_is_left():
    old = Controls(Profile(token_budget=TokenBudget(per_hour=100_000)))
    old.in_force(5)
    old.thinking_ended(old.thinking_began(5), 9000, 5)
    new = Controls(Profile(token_budget=TokenBudget(per_hour=200_000)))
    new.succeed(old)
    assert new.in_force(5).budget == pytest.approx(margin_of(0.1))
