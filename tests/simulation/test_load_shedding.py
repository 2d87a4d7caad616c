"""Load shedding in a closed loop with a pool of 40 places, whose own lag (24 s of thinking) could make it swing."""

import numpy as np
import pytest

from router.mode import Reason
from router.policies.load_shedding import LoadShedding
from router.policies.think_ratio import ThinkRatio
from router.profile import Profile
from tests.simulation.measures import binned, oscillates
from tests.simulation.simulation import PoolModel, simulate
from tests.simulation.traffic import bursts, later, stationary, step

POOL = PoolModel(places=40, speed=50)
SHEDS = Profile(load_shedding=LoadShedding())
BARE = Profile()


def test_without_pressure_it_does_nothing():
    trace = simulate(SHEDS, stationary(1, 4000, 1.5), POOL)
    assert max(trace.pressure) < 0.8
    assert set(trace.threshold) == {0.5}
    assert Reason.LOAD not in trace.reason


@pytest.mark.parametrize("per_s", [4, 5, 6])
@pytest.mark.parametrize("seed", [1, 2])
def test_under_steady_overload_it_finds_its_margin_and_does_not_oscillate(seed, per_s):
    trace = simulate(SHEDS, stationary(seed, 4000, per_s), POOL)
    threshold = trace.series("threshold")
    assert threshold.min() >= 0.5
    assert threshold.max() <= 0.8
    _, every_5s = binned(trace.series("at_s"), threshold, 5)
    assert not oscillates(every_5s[40:], 120)
    assert np.mean(trace.waited_s) < 6
    places = trace.series("pressure")[1000:]
    assert places.mean() > 0.8  # what there is, is used
    assert np.std(places) < 0.35


def test_the_margin_grows_with_the_load():
    means = [np.mean(simulate(SHEDS, stationary(1, 3000, per_s), POOL).threshold[1000:]) for per_s in (2, 4, 6, 8)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(0.5, abs=0.01)
    assert means[-1] == pytest.approx(0.8, abs=0.005)  # its most, and no more


def test_a_step_of_the_load_is_met_and_over_when_it_is_over():
    trace = simulate(SHEDS, step(1, 8000, 3.0), POOL)
    bare = simulate(BARE, step(1, 8000, 3.0), POOL)
    assert max(trace.waited_s) < 40 < 500 < max(bare.waited_s)
    back = simulate(SHEDS, [*stationary(1, 2000, 6.0), *later(stationary(2, 2000, 1.0), 2000)], POOL)
    late = back.series("threshold")[back.series("at_s") > 2400]
    assert np.all(late == 0.5)


def test_bursts_wait_less_and_the_time_between_them_is_as_if_nothing_had_been():
    arrivals = bursts(1, 10_000, 2.0)
    trace, bare = simulate(SHEDS, arrivals, POOL), simulate(BARE, arrivals, POOL)
    assert np.mean(trace.waited_s) < 0.5 * np.mean(bare.waited_s)
    quiet = trace.series("at_s") % 900 < 800
    calm = (trace.series("at_s") % 900 > 600) & quiet
    assert np.mean(trace.series("threshold")[calm]) == pytest.approx(0.5, abs=0.01)


def test_those_near_the_threshold_go_first():
    trace = simulate(SHEDS, stationary(3, 4000, 6.0), POOL)
    shed = np.array([reason is Reason.LOAD for reason in trace.reason])
    score = trace.series("score")
    assert shed.sum() > 1000
    assert score[shed].max() < 0.8
    assert np.all(trace.series("thought")[score >= 0.8] == 1)


def test_a_think_ratio_does_not_win_back_what_load_takes_away():
    both = Profile(load_shedding=LoadShedding(), think_ratio=ThinkRatio(0.35))
    trace = simulate(both, stationary(1, 4000, 7.0), POOL)
    alone = simulate(Profile(think_ratio=ThinkRatio(0.35)), stationary(1, 4000, 7.0))
    assert trace.series("base")[4000:].mean() == pytest.approx(alone.series("base")[4000:].mean(), abs=0.02)
    assert trace.series("wanted")[4000:].mean() == pytest.approx(0.35, abs=0.01)
    assert trace.series("thought")[4000:].mean() < 0.32
    _, every_5s = binned(trace.series("at_s"), trace.series("threshold"), 5)
    assert not oscillates(every_5s[80:], 120)


def test_a_loop_that_swings_is_caught():
    """A hard switch with no lag, no line and a wide margin: the measure sees it."""
    hard = Profile(load_shedding=LoadShedding(0.9, 1.5, 0.701, 0.8, attack_s=0.01, release_s=0.01))
    trace = simulate(hard, stationary(1, 4000, 6.0), POOL)
    _, every_5s = binned(trace.series("at_s"), trace.series("threshold"), 5)
    assert oscillates(every_5s[40:], 120)
