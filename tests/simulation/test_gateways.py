"""Several gateways that act together: one share, one budget, thresholds that agree, however late their words come."""

import numpy as np
import pytest

from router.policies.controls import Controls
from router.policies.think_ratio import ThinkRatio
from router.policies.token_budget import TokenBudget, margin_of
from router.profile import Profile
from tests.simulation.gateways import Gateways
from tests.simulation.measures import most_in_a_period, oscillates, overshoot, settled_after, windowed
from tests.simulation.traffic import CHAT, EXAM, HOUR_S, Mix, stationary, step

WINDOW = 500
TOLERANCE = 0.08


def places(count: int, gateways: int, seed: int = 0, share: float | None = None) -> list[int]:
    """Where each request goes: anywhere, or with this share to the first."""
    draw = np.random.default_rng(seed).random(count)
    if share is None:
        return list((draw * gateways).astype(int))
    return [0 if value < share else 1 for value in draw]


def ideal(mix: Mix, target: float) -> float:
    return float(np.quantile([a.score for a in stationary(99, 50_000, 1, mix)], 1 - target))


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("rate", [1.0, 200.0])
def test_the_joint_share_is_the_target_and_thresholds_agree(count, rate):
    arrivals = stationary(1, 12_000 / rate, rate)
    gateways = Gateways(Profile(think_ratio=ThinkRatio(0.3, WINDOW)), count, interval_s=10 / rate)
    trace = gateways.run(arrivals, places(len(arrivals), count))
    assert settled_after(windowed(trace.series("thought"), WINDOW), 0.3, TOLERANCE) < 2 * WINDOW
    assert trace.series("thought")[WINDOW:].mean() == pytest.approx(0.3, abs=0.012)
    bases = trace.series("bases")[WINDOW:]
    assert np.mean(bases.max(axis=1) - bases.min(axis=1)) < 0.02
    assert not oscillates(bases.mean(axis=1), 6 * WINDOW)


def test_alone_they_would_need_a_window_each_and_together_they_need_one():
    responses = []
    for seed in range(8):
        arrivals = step(seed, 2500, 2.0, CHAT, EXAM)
        gateways = Gateways(Profile(think_ratio=ThinkRatio(0.3, WINDOW)), 4, interval_s=5)
        trace = gateways.run(arrivals, places(len(arrivals), 4, seed))
        middle = int(np.searchsorted(trace.series("at_s"), 1250))
        responses.append(trace.series("bases").mean(axis=1)[middle : middle + 2000])
    mean, start, end = np.mean(responses, axis=0), ideal(CHAT, 0.3), ideal(EXAM, 0.3)
    assert abs(mean[WINDOW] - end) < 0.4 * abs(start - end)
    assert overshoot(mean, start, end) < 0.05


def test_a_share_that_neither_has_by_itself():
    """One gateway sees exams alone, the other chat: both think by one threshold, and the target is that of both."""
    exam, chat = stationary(1, 6000, 1.0, EXAM), stationary(2, 6000, 1.0, CHAT)
    merged = sorted([(a.at_s, 0, a) for a in exam] + [(a.at_s, 1, a) for a in chat], key=lambda one: one[:2])
    gateways = Gateways(Profile(think_ratio=ThinkRatio(0.3, WINDOW)), 2, interval_s=2)
    trace = gateways.run([one[2] for one in merged], [one[1] for one in merged])
    thought = trace.series("thought")[2 * WINDOW :]
    assert thought.mean() == pytest.approx(0.3, abs=0.015)
    where = np.asarray([one[1] for one in merged])[2 * WINDOW :]
    assert thought[where == 0].mean() > 0.4
    assert thought[where == 1].mean() < 0.2


@pytest.mark.parametrize("window", [20, 100])
def test_words_that_are_late_by_many_windows_do_not_make_it_swing_out(window):
    """400 requests/s at each of two, told once a second: 20 windows of steps at once."""
    arrivals = stationary(5, 60, 800.0)
    gateways = Gateways(Profile(think_ratio=ThinkRatio(0.3, window)), 2, interval_s=1.0)
    trace = gateways.run(arrivals, places(len(arrivals), 2))
    thought = trace.series("thought")[5000:]
    assert thought.mean() == pytest.approx(0.3, abs=0.02)
    assert windowed(thought, 1600) == pytest.approx(0.3, abs=0.08)


def test_one_that_comes_new_or_was_away_agrees_soon():
    profile = Profile(think_ratio=ThinkRatio(0.1, WINDOW))
    arrivals = stationary(1, 600, 20.0, EXAM)
    third = len(arrivals) // 3
    gateways = Gateways(profile, 2)
    gateways.run(arrivals[:third], [0] * third)
    found = gateways.controls[0].last.base
    assert found > 0.6
    gateways.controls[1] = Controls(profile)  # restarted
    gateways.exchange(arrivals[third].at_s)
    assert gateways.controls[0].last.base == pytest.approx(found, abs=0.005)  # nobody is dragged back to 0.5
    assert gateways.controls[1].last.base == pytest.approx(found, abs=0.005)
    gateways.connected = [True, False]
    gateways.run(arrivals[third : 2 * third], places(third, 2))
    gateways.connected = [True, True]
    gateways.run(arrivals[2 * third :], places(len(arrivals) - 2 * third, 2))
    bases = gateways.trace.series("bases")[2 * third + 200 :]
    assert np.abs(bases[:, 0] - bases[:, 1]).max() < 0.05
    assert gateways.trace.series("thought")[2 * third :].mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_one_budget_holds_over_all_and_is_spent(share):
    limit, hours = 400_000, 4
    arrivals = stationary(1, hours * HOUR_S, 1.0)
    gateways = Gateways(Profile(token_budget=TokenBudget(per_hour=limit)), 2, interval_s=1.0)
    trace = gateways.run(arrivals, places(len(arrivals), 2, share=share))
    assert most_in_a_period(trace.spent, HOUR_S) <= limit
    for hour in range(hours):
        spent = sum(tokens for at_s, tokens in trace.spent if hour * HOUR_S <= at_s < (hour + 1) * HOUR_S)
        assert 0.82 * limit < spent <= limit
    apart = np.abs(np.diff(trace.series("thresholds")[600:], axis=1))
    assert np.mean(apart) < 0.02


def test_alone_two_gateways_spend_twice_the_budget():
    arrivals = stationary(1, 2 * HOUR_S, 1.0)
    gateways = Gateways(Profile(token_budget=TokenBudget(per_hour=400_000)), 2, interval_s=1.0)
    gateways.connected = [False, False]
    trace = gateways.run(arrivals, places(len(arrivals), 2))
    assert most_in_a_period(trace.spent, HOUR_S) > 600_000


def test_one_that_restarts_does_not_bring_a_full_store():
    profile = Profile(token_budget=TokenBudget(per_hour=100_000))
    one, other = Gateways(profile, 2), Controls(profile)
    taken = one.controls[0].thinking_began(0)
    one.exchange(0)
    one.controls[0].thinking_ended(taken, 9000, 0)
    one.exchange(0.05)
    assert one.controls[1].in_force(0.05).budget == one.controls[0].in_force(0.05).budget > 0.5
    one.controls[1] = other
    one.exchange(0.1)
    assert other.in_force(0.1).budget == pytest.approx(one.controls[0].in_force(0.1).budget, abs=0.01)


def test_what_was_spent_while_nobody_heard_is_taken_out_afterwards():
    gateways = Gateways(Profile(token_budget=TokenBudget(per_hour=100_000)), 2)
    gateways.exchange(0)
    gateways.connected = [False, False]
    for controls in gateways.controls:
        controls.thinking_ended((), 4000, 0)
    gateways.exchange(0.05)
    gateways.connected = [True, True]
    gateways.exchange(0.1)
    for controls in gateways.controls:
        assert controls.in_force(0.1).budget == pytest.approx(margin_of(0.2), abs=0.01)  # 8,000 of 10,000 are spent
