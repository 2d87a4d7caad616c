"""Load shedding, step by step; over long traces it is tested in tests/simulation."""

import pytest

from router.policies.load_shedding import LoadShedder, LoadShedding

POLICY = LoadShedding(margin=0.3, start=0.8, full=1.2, hysteresis=0.1, attack_s=3, release_s=30)


def settled(shedder: LoadShedder, pressure: float, at_s: float) -> float:
    shedder.observe(pressure, at_s)
    return shedder.observe(pressure, at_s + 1000)


def test_below_its_start_nothing_happens():
    shedder = LoadShedder(POLICY)
    assert settled(shedder, 0.79, 0) == 0


def test_the_margin_grows_with_the_pressure_up_to_its_most():
    shedder = LoadShedder(POLICY)
    margins = [settled(shedder, pressure, i * 2000) for i, pressure in enumerate((0.8, 0.95, 1.1, 1.2, 5.0))]
    assert margins == pytest.approx([0.06, 0.15, 0.24, 0.3, 0.3])


def test_it_ends_at_a_lower_pressure_than_it_begins_at():
    shedder = LoadShedder(POLICY)
    assert settled(shedder, 0.75, 0) == 0
    assert settled(shedder, 0.9, 2000) > 0
    assert settled(shedder, 0.75, 4000) == pytest.approx(0.03)
    assert settled(shedder, 0.7, 6000) == 0
    assert settled(shedder, 0.75, 8000) == 0


def test_it_is_quick_to_rise_and_slow_to_fall():
    shedder = LoadShedder(POLICY)
    shedder.observe(1.2, 0)
    assert shedder.observe(1.2, 3) == pytest.approx(0.3 * 0.632, abs=0.001)
    high = settled(shedder, 1.2, 10)
    assert shedder.observe(0.0, 1010 + 3) > 0.9 * high
    assert shedder.observe(0.0, 1010 + 33) == pytest.approx(0.3 * 0.333, abs=0.01)


def test_many_looks_at_one_moment_move_nothing():
    shedder = LoadShedder(POLICY)
    shedder.observe(1.2, 5)
    assert [shedder.observe(1.2, 5) for _ in range(100)] == [0.0] * 100
