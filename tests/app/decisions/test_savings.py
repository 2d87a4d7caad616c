"""The estimate of what was saved: exact where it can be, and an interval that covers what it should."""

import random
import statistics
import time

import pytest

from app.decisions.savings import BANDS, BY_GATEWAY, ENOUGH, UNSCORED, HourSum, estimate
from app.decisions.sqlite_schema import SUM_UP
from router.mode import Mode, Reason
from tests.app.decisions.conftest import record


def of(mode, band, tokens, seconds=None, profile="default"):
    """The sum over answers with these numbers."""
    seconds = [1.0] * len(tokens) if seconds is None else seconds
    return HourSum(
        profile,
        mode,
        band,
        len(tokens),
        sum(tokens),
        sum(t * t for t in tokens),
        sum(seconds),
        sum(s * s for s in seconds),
    )


def test_equal_answers_give_an_exact_sum():
    total, profiles = estimate(
        [
            of(Mode.INSTRUCT, 7, [100] * 10, [2.0] * 10),
            of(Mode.THINKING, 7, [1000] * ENOUGH, [12.0] * ENOUGH),
        ]
    )
    assert profiles == {"default": total}
    assert (total.instruct, total.thinking, total.extrapolated, total.not_compared) == (10, ENOUGH, 0, 0)
    assert total.tokens.used == 10 * 100 + ENOUGH * 1000
    assert (total.tokens.saved, total.tokens.low, total.tokens.high) == (9000, 9000, 9000)
    assert total.tokens.share == round(9000 / (10_000 + ENOUGH * 1000), 4)
    assert (total.seconds.used, total.seconds.saved) == (20 + ENOUGH * 12, 100)


def test_an_answer_that_was_longer_than_thinking_would_have_been_is_a_loss():
    total, _ = estimate([of(Mode.INSTRUCT, 7, [500] * 4), of(Mode.THINKING, 7, [100] * ENOUGH)])
    assert total.tokens.saved == -1600
    assert total.tokens.share < 0


def test_like_is_compared_with_like_and_else_with_the_nearest():
    low, high = of(Mode.THINKING, 5, [100] * ENOUGH), of(Mode.THINKING, 9, [900] * ENOUGH)
    for band, saved, extrapolated in ((9, 890, 0), (8, 890, 1), (6, 90, 1), (5, 90, 0), (0, 90, 1), (7, 90, 1)):
        total, _ = estimate([of(Mode.INSTRUCT, band, [10]), low, high])
        assert (total.tokens.saved, total.extrapolated) == (saved, extrapolated), band


def test_a_band_with_too_few_answers_is_passed_over():
    few, enough = of(Mode.THINKING, 5, [100] * (ENOUGH - 1)), of(Mode.THINKING, 8, [900] * ENOUGH)
    total, _ = estimate([of(Mode.INSTRUCT, 5, [0]), few, enough])
    assert (total.tokens.saved, total.extrapolated) == (900, 1)
    nothing, _ = estimate([of(Mode.INSTRUCT, 5, [0]), few])
    assert (nothing.instruct, nothing.not_compared, nothing.tokens, nothing.seconds) == (0, 1, None, None)
    assert nothing.thinking == ENOUGH - 1


def test_what_has_no_score_is_compared_with_its_like_alone():
    scored = of(Mode.THINKING, 5, [900] * ENOUGH)
    total, _ = estimate([of(Mode.INSTRUCT, UNSCORED, [10] * 3), scored])
    assert (total.not_compared, total.tokens) == (3, None)
    total, _ = estimate([of(Mode.INSTRUCT, UNSCORED, [10] * 3), scored, of(Mode.THINKING, UNSCORED, [110] * ENOUGH)])
    assert (total.instruct, total.extrapolated, total.tokens.saved) == (3, 0, 300)
    total, _ = estimate([of(Mode.INSTRUCT, 0, [10]), of(Mode.THINKING, UNSCORED, [110] * ENOUGH)])
    assert total.not_compared == 1


def test_profiles_are_compared_within_themselves_and_added_up():
    sums = [
        of(Mode.INSTRUCT, 1, [10] * 2, profile="a"),
        of(Mode.THINKING, 6, [110, 310] * ENOUGH, profile="a"),
        of(Mode.INSTRUCT, 1, [10] * 3, profile="b"),
        of(Mode.THINKING, 6, [1010, 1210] * ENOUGH, profile="b"),
        of(Mode.INSTRUCT, 1, [10] * 4, profile="never"),
    ]
    total, profiles = estimate(sums)
    assert list(profiles) == ["a", "b", "never"]
    assert (profiles["a"].tokens.saved, profiles["b"].tokens.saved) == (400, 3300)
    assert (profiles["never"].not_compared, profiles["never"].tokens) == (4, None)
    assert (total.tokens.saved, total.instruct, total.not_compared) == (3700, 5, 4)
    halves = [p.tokens.high - p.tokens.saved for p in (profiles["a"], profiles["b"])]
    assert total.tokens.high - total.tokens.saved == pytest.approx((halves[0] ** 2 + halves[1] ** 2) ** 0.5, abs=0.01)


def test_hours_can_be_added_before_or_after():
    parts = [of(Mode.THINKING, 6, [100 + i, 200 - i]) for i in range(ENOUGH)] + [of(Mode.INSTRUCT, 2, [5])] * 7
    whole = [
        of(Mode.THINKING, 6, [t for i in range(ENOUGH) for t in (100 + i, 200 - i)]),
        of(Mode.INSTRUCT, 2, [5] * 7),
    ]
    assert estimate(parts) == estimate(whole)


def test_nothing_is_nothing():
    total, profiles = estimate([])
    assert (total.instruct, total.tokens, profiles) == (0, None, {})


def test_the_interval_holds_what_thinking_would_really_have_cost_as_often_as_it_says():
    """Long-tailed answers, few of them thinking: what the instruct requests would have used is drawn as well."""
    random.seed(20261124)
    covered, widths = 0, []
    for _ in range(1000):
        draw = [random.lognormvariate(6.0, 0.8) for _ in range(40 + 300)]
        thinking, would = draw[:40], draw[40:]
        instruct = [random.lognormvariate(4.5, 0.5) for _ in range(300)]
        total, _ = estimate([of(Mode.INSTRUCT, 3, instruct), of(Mode.THINKING, 3, thinking)])
        covered += total.tokens.low <= sum(would) - sum(instruct) <= total.tokens.high
        widths.append((total.tokens.high - total.tokens.low) / total.tokens.saved)
    assert 0.88 <= covered / 1000 <= 0.97  # 95 % by the normal law; skewness takes some of it
    assert statistics.median(widths) < 0.8


# ---------------------------------------------------------------------- the sums, in the SQLite store


def sums(store, first=0, last=10**6, tenant="default"):
    return sorted(store.sums(tenant, first, last), key=lambda one: (one.profile, one.mode, one.band))


def test_the_reasons_that_are_summed_up_are_those_of_the_gateway():
    assert SUM_UP.count("'") == 2 * len(BY_GATEWAY)
    assert all(f"'{reason.value}'" in SUM_UP for reason in BY_GATEWAY)
    assert f"WHEN score IS NULL THEN {UNSCORED} " in SUM_UP
    assert f"min({BANDS - 1}, CAST(score * {BANDS} " in SUM_UP


def test_answers_are_summed_up_by_hour_profile_mode_and_band(store):
    hour = 1_795_516_271 // 3600
    store.write(
        [
            record(score=0.75, reasoning_tokens=3, answer_tokens=4, duration_s=2.0),
            record(score=0.79, reasoning_tokens=0, answer_tokens=1, duration_s=3.0),
            record(score=0.8, reasoning_tokens=0, answer_tokens=1, duration_s=1.0, time=(hour + 1) * 3600.0),
            record(score=1.0, reasoning_tokens=0, answer_tokens=1, duration_s=1.0),
            record(score=None, reason=Reason.SESSION, mode=Mode.INSTRUCT, reasoning_tokens=0, answer_tokens=5),
            record(profile="other", reasoning_tokens=1, answer_tokens=1, duration_s=1.0),
            record(tenant="b"),
            record(status=499),
            record(reasoning_tokens=None, answer_tokens=None),
            *(record(reason=reason) for reason in Reason if reason not in BY_GATEWAY),
        ]
    )
    assert sums(store) == [
        HourSum("default", Mode.INSTRUCT, UNSCORED, 1, 5.0, 25.0, 9.41, pytest.approx(9.41**2)),
        HourSum("default", Mode.THINKING, 7, 2, 8.0, 50.0, 5.0, 13.0),
        HourSum("default", Mode.THINKING, 8, 1, 1.0, 1.0, 1.0, 1.0),
        HourSum("default", Mode.THINKING, 9, 1, 1.0, 1.0, 1.0, 1.0),
        HourSum("other", Mode.THINKING, 7, 1, 2.0, 4.0, 1.0, 1.0),
    ]
    assert [one.band for one in sums(store, hour, hour + 1) if one.profile == "default"] == [UNSCORED, 7, 9]
    assert [one.band for one in sums(store, hour + 1)] == [8]
    assert sums(store, hour + 2) == []
    assert [one.answers for one in sums(store, tenant="b")] == [1]


def test_a_batch_that_is_written_twice_is_summed_up_once(store):
    batch = [record(), record()]
    store.write(batch)
    store.write([*batch, record(), record(prompt_tokens=2**70)])
    assert [one.answers for one in sums(store)] == [3]


def test_sums_outlive_their_decisions_by_a_year_but_not_by_two(store):
    now_s = time.time()
    store.write([record(time=now_s - days * 86_400) for days in (500, 300, 1)])
    assert store.forget(now_s - 30 * 86_400, 1000) == 2
    assert [one.answers for one in sums(store)] == [2]
    store.write([record(time=now_s - 500 * 86_400)])
    assert store.forget(now_s - 600 * 86_400, 1000) == 0  # who keeps decisions for longer keeps sums as long
    assert [one.answers for one in sums(store)] == [3]
