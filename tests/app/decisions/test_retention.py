"""Retention by a clock that jumps: nothing is deleted that a right clock would have kept."""

import pytest

from app.decisions.retention import DISTRUST_S, JUMP_S, Retention

DAY_S = 86_400.0


class Clocks:
    def __init__(self):
        self.now_s, self.steady_s = 1_700_000_000.0, 50.0

    def pass_(self, seconds: float, *, drift: float = 0.0):
        self.now_s += seconds + drift
        self.steady_s += seconds


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def retention(clocks):
    return Retention(30 * DAY_S, lambda: clocks.now_s, lambda: clocks.steady_s)


def test_rows_go_when_they_are_older_than_they_are_kept(clocks, retention):
    assert retention.before_s() == clocks.now_s - 30 * DAY_S
    clocks.pass_(60)
    assert retention.before_s() == clocks.now_s - 30 * DAY_S


@pytest.mark.parametrize("jump_s", [365 * DAY_S, -365 * DAY_S, JUMP_S + 1])
def test_a_clock_that_has_jumped_is_not_believed_for_a_day(clocks, retention, jump_s, caplog):
    clocks.pass_(60, drift=jump_s)
    assert retention.before_s() is None
    assert "the clock has jumped" in caplog.text
    clocks.pass_(DISTRUST_S - 1)
    assert retention.before_s() is None
    clocks.pass_(1)
    assert retention.before_s() == clocks.now_s - 30 * DAY_S
    assert caplog.text.count("the clock has jumped") == 1


def test_a_clock_that_jumps_and_comes_back_deletes_nothing_either(clocks, retention):
    for jump_s in (365 * DAY_S, -365 * DAY_S):
        clocks.pass_(60, drift=jump_s)
        assert retention.before_s() is None


def test_a_clock_that_is_drawn_along_slowly_is_believed(clocks, retention):
    for _ in range(100):
        clocks.pass_(60, drift=2)
        assert retention.before_s() is not None
