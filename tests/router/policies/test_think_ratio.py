"""The think ratio's controller, step by step; over long traces it is tested in tests/simulation."""

import random

import pytest

from router.policies.controls import Controls
from router.policies.think_ratio import RatioController, ThinkRatio
from router.profile import Profile
from tests.router.policies import decided


def test_it_begins_at_the_profiles_threshold():
    assert RatioController(ThinkRatio(0.3), 0.42).base == 0.42


def test_thinking_raises_the_threshold_and_not_thinking_lowers_it():
    controller = RatioController(ThinkRatio(0.3, window=50), 0.5)
    controller.judged(True)
    high = controller.base
    assert high > 0.5
    for _ in range(5):
        controller.judged(False)
    assert controller.base < high


def test_the_threshold_stays_within_its_bounds_and_comes_back_at_once():
    controller = RatioController(ThinkRatio(0.5, window=20, min_threshold=0.1, max_threshold=0.8), 0.5)
    for _ in range(500):
        controller.judged(True)
        assert controller.base <= 0.8
    controller.judged(False)
    assert controller.base < 0.8  # nothing has wound up behind the bound
    for _ in range(500):
        controller.judged(False)
    assert controller.base == 0.1


def test_the_start_is_within_the_bounds_too():
    assert RatioController(ThinkRatio(0.5, max_threshold=0.8), 1.01).base == 0.8


@pytest.mark.parametrize("target", [0.05, 0.3, 0.9])
def test_a_share_of_equal_scores_is_met_too(target):
    """All requests score alike: the threshold goes round that score, and the share is still the target."""
    controller, thought = RatioController(ThinkRatio(target, window=100), 0.5), 0
    for _ in range(4000):
        thinks = controller.base <= 0.37
        controller.judged(thinks)
        thought += thinks
    assert thought / 4000 == pytest.approx(target, abs=0.02)


def test_the_share_follows_what_happens():
    controller = RatioController(ThinkRatio(0.3, window=100), 0.5)
    assert controller.share == 0.3
    for _ in range(500):
        controller.judged(True)
    assert controller.share > 0.99


def test_what_load_or_budget_took_away_counts_as_thinking():
    profile = Profile(think_ratio=ThinkRatio(0.3))
    plain, shed = Controls(profile), Controls(profile)
    plain.decided(decided("thinking", "judge", 0.7))
    shed.decided(decided("instruct", "load", 0.7))
    assert plain.last == shed.last
    shed.decided(decided("instruct", "budget", 0.7))
    assert shed.last.base > plain.last.base


def test_who_was_not_judged_does_not_count():
    controls = Controls(Profile(think_ratio=ThinkRatio(0.3, window=20)))
    for reason in ("client_header", "profile", "soft_switch", "judge_failed"):
        controls.decided(decided("thinking", reason, None))
    assert controls.last.base == 0.5


def test_a_reload_keeps_what_was_found_within_the_new_bounds():
    old = Controls(Profile(think_ratio=ThinkRatio(0.3, window=20)))
    for _ in range(200):
        old.decided(decided("thinking", "judge", 0.99))
    assert old.last.base > 0.9
    same = Controls(Profile(think_ratio=ThinkRatio(0.3, window=50, max_threshold=0.9)))
    same.succeed(old)
    assert same.last.base == 0.9
    moved = Controls(Profile(threshold=0.4, think_ratio=ThinkRatio(0.3)))
    moved.succeed(old)
    assert moved.last.base == 0.4
    without = Controls(Profile())
    without.succeed(old)
    assert without.last.base == 0.5


def test_thresholds_are_few_so_that_texts_made_of_them_can_be_kept():
    controller, chance, seen = RatioController(ThinkRatio(0.3), 0.5), random.Random(1), set()
    for _ in range(20_000):
        controller.judged(chance.random() >= controller.base)
        seen.add(controller.base)
    assert len(seen) < 1000
    assert all(base == round(base, 3) for base in seen)
