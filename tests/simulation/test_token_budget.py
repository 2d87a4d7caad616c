"""Token budgets over hours: not exceeded in any span, spent nearly whole where there is demand, and without swings."""

import numpy as np
import pytest

from app.limits.window import Window
from router.policies.token_budget import TokenBudget
from router.profile import Profile
from tests.simulation.measures import binned, most_in_a_period, oscillates
from tests.simulation.simulation import simulate
from tests.simulation.traffic import HOUR_S, bursts, daily, stationary, step

HOURS = 6


def run(arrivals, **budget):
    return simulate(Profile(token_budget=TokenBudget(**budget)), arrivals)


@pytest.mark.parametrize("limit", [400_000, 1_000_000])
@pytest.mark.parametrize("traffic", [stationary, bursts])
def test_where_there_is_demand_the_budget_is_spent_and_not_exceeded(traffic, limit):
    trace = run(traffic(1, HOURS * HOUR_S, 1.0), per_hour=limit)
    assert most_in_a_period(trace.spent, HOUR_S) <= limit
    for hour in range(HOURS):
        spent = sum(tokens for at_s, tokens in trace.spent if hour * HOUR_S <= at_s < (hour + 1) * HOUR_S)
        assert 0.84 * limit < spent <= limit


@pytest.mark.parametrize("limit", [400_000, 1_000_000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_threshold_does_not_oscillate(seed, limit):
    trace = run(stationary(seed, HOURS * HOUR_S, 1.0), per_hour=limit)
    _, every_30s = binned(trace.series("at_s"), trace.series("threshold"), 30)
    assert not oscillates(every_30s[120:], 240)
    assert trace.series("threshold").max() <= 1.01
    assert trace.series("threshold").min() >= 0.5


def test_where_it_is_not_needed_nothing_moves():
    trace = run(stationary(1, 2 * HOUR_S, 0.5), per_hour=4_000_000)
    assert set(trace.threshold) == {0.5}


@pytest.mark.parametrize("arrivals", [step(1, HOURS * HOUR_S, 1.0), daily(1, 1, 1.0)], ids=["step", "day"])
def test_changing_demand_never_exceeds_it(arrivals):
    trace = run(arrivals, per_hour=500_000)
    assert most_in_a_period(trace.spent, HOUR_S) <= 500_000
    free = simulate(Profile(), arrivals)
    assert most_in_a_period(free.spent, HOUR_S) > 1_000_000


def test_a_minutes_budget_holds_where_a_minute_has_many_thinkings():
    """The tokens of a thinking are known when it ends; in a minute of 80 thinkings that evens out, mostly."""
    limit = 100_000
    trace = run(stationary(1, 3600, 6.0), per_minute=limit)
    assert most_in_a_period(trace.spent, 60) < 1.35 * limit
    assert sum(tokens for _, tokens in trace.spent) == pytest.approx(60 * 0.9 * limit, rel=0.05)


def test_hardest_go_last():
    trace = run(stationary(1, HOURS * HOUR_S, 1.0), per_hour=400_000)
    score, thought = trace.series("score")[3600:], trace.series("thought")[3600:].astype(bool)
    wanted = score >= 0.5
    assert score[wanted & thought].mean() > score[wanted & ~thought].mean() + 0.1


def test_a_tenants_sliding_window_is_paced_without_swings():
    """`tenants`: the room is what app/limits' window of an hour has left; nothing is stored a second time."""
    window, limit = Window(500_000, HOUR_S), 500_000
    profile = Profile(token_budget=TokenBudget(tenants=True))
    trace = simulate(
        profile,
        stationary(1, 8 * HOUR_S, 1.0),
        room=lambda now_s: max(0.0, 1 - window.used(now_s) / limit),
        spend=lambda tokens, now_s: window.add(tokens, now_s),
    )
    for hour in range(1, 8):
        spent = sum(tokens for at_s, tokens in trace.spent if hour * HOUR_S <= at_s < (hour + 1) * HOUR_S)
        assert 0.7 * limit < spent <= 1.02 * limit
    _, every_30s = binned(trace.series("at_s"), trace.series("threshold"), 30)
    assert np.std(every_30s[240:]) < 0.1
    assert not oscillates(every_30s[240:], 120)
