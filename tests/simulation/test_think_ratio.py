"""The think ratio over long traces: it converges, stays in bounds, and does not oscillate (measures.py says what that
means), whatever the traffic does."""

import numpy as np
import pytest

from router.policies import think_ratio
from router.policies.think_ratio import ThinkRatio
from router.profile import Profile
from tests.simulation.measures import deepest_correlation, oscillates, overshoot, settled_after, windowed
from tests.simulation.simulation import Trace, simulate
from tests.simulation.traffic import CHAT, DAY_S, EXAM, Mix, bursts, daily, stationary, step

WINDOW = 500
TOLERANCE = 0.08  # four standard deviations of the share of 500 independent draws


def run(arrivals, target=0.3, window=WINDOW, **bounds) -> Trace:
    return simulate(Profile(think_ratio=ThinkRatio(target, window, **bounds)), arrivals)


def shares(trace: Trace) -> np.ndarray:
    return windowed(trace.series("thought"), WINDOW)


def ideal(mix: Mix, target: float) -> float:
    """The threshold that the target's share of this mix reaches."""
    return float(np.quantile([a.score for a in stationary(99, 50_000, 1, mix)], 1 - target))


@pytest.mark.parametrize("target", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_under_stationary_load_it_converges_and_does_not_oscillate(seed, target):
    trace = run(stationary(seed, 20_000, 1.0), target)
    assert settled_after(shares(trace), target, TOLERANCE) < 2 * WINDOW
    assert trace.series("thought")[WINDOW:].mean() == pytest.approx(target, abs=0.01)
    assert not oscillates(trace.series("threshold")[2 * WINDOW :], 6 * WINDOW)


@pytest.mark.parametrize(("before", "after"), [(CHAT, EXAM), (EXAM, CHAT)])
def test_a_step_of_the_mix_is_made_up_for_without_overshoot(before, after):
    responses, shares_after = [], []
    for seed in range(20):
        trace = run(step(seed, 8000, 1.0, before, after))
        middle = int(np.searchsorted(trace.series("at_s"), 4000))
        responses.append(trace.series("base")[middle : middle + 3500])
        shares_after.append(trace.series("thought")[middle + 2 * WINDOW :].mean())
    mean = np.mean(responses, axis=0)
    start, end = ideal(before, 0.3), ideal(after, 0.3)
    assert mean[-1] == pytest.approx(end, abs=0.03)
    assert overshoot(mean, start, end) < 0.05
    assert abs(mean[WINDOW] - end) < 0.37 * abs(start - end)  # most of the way within a window
    assert np.mean(shares_after) == pytest.approx(0.3, abs=0.01)


def test_over_days_the_share_is_the_target_every_day():
    days = 3
    trace = run(daily(5, days, 0.3))
    day = (trace.series("at_s") // DAY_S).astype(int)
    for n in range(days):
        assert trace.series("thought")[day == n].mean() == pytest.approx(0.3, abs=0.015)
    assert shares(trace)[WINDOW:] == pytest.approx(0.3, abs=0.12)


def test_bursts_move_the_threshold_no_further_than_their_own_mix_deserves():
    trace = run(bursts(7, 20_000, 1.0))
    assert trace.series("thought").mean() == pytest.approx(0.3, abs=0.01)
    base = trace.series("base")[WINDOW:]
    easy, hard = ideal(Mix(0.45), 0.3), ideal(EXAM, 0.3)
    assert base.min() > easy - 0.25
    assert base.max() < hard + 0.05


def test_it_stays_in_bounds_where_the_target_is_out_of_reach():
    trace = run(stationary(3, 10_000, 1.0, EXAM), target=0.1, min_threshold=0.2, max_threshold=0.6)
    base = trace.series("base")
    assert base.min() >= 0.2
    assert base.max() == 0.6
    assert trace.series("thought")[WINDOW:].mean() > 0.3  # more than the target: the bound holds


def test_a_controller_that_oscillates_is_caught(monkeypatch):
    """The measure itself: the same controller with ten times the gain, told of its decisions 300 requests late."""
    late: list[bool] = []
    real = think_ratio.RatioController.judged

    def judged(self, thought: bool) -> None:
        late.append(thought)
        if len(late) > 300:
            real(self, late.pop(0))

    monkeypatch.setattr(think_ratio, "_GAIN", 120.0)
    monkeypatch.setattr(think_ratio.RatioController, "judged", judged)
    trace = run(stationary(1, 20_000, 1.0))
    assert oscillates(trace.series("threshold")[2 * WINDOW :], 6 * WINDOW)
    assert settled_after(shares(trace), 0.3, TOLERANCE) > 10_000


def test_the_measure_tells_noise_from_swings():
    random = np.random.default_rng(1)
    assert deepest_correlation(random.normal(size=20_000), 2000) > -0.1
    assert deepest_correlation(np.sin(np.arange(20_000) / 100) + random.normal(size=20_000) / 2, 2000) < -0.6
    assert deepest_correlation(np.ones(100), 50) == 0
