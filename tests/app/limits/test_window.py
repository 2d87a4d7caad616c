"""Windows: never much above the limit, waits that are true."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.window import Window


def test_so_much_may_be_used_and_then_one_waits():
    window = Window(3, 60)
    for i in range(3):
        assert window.wait_s(100 + i) == 0
        window.add(1, 100 + i)
    assert 0 < window.wait_s(103) <= 120
    assert window.wait_s(103 + window.wait_s(103) + 1e-6) == 0


def test_everything_is_forgotten_after_two_spans():
    window = Window(1000, 60)
    window.add(5000, 10)
    assert window.wait_s(10 + 120) == 0
    assert window.used(10 + 120) == 0


def test_use_after_the_fact_may_go_over_and_is_waited_off():
    window = Window(100, 60)
    window.add(10_000, 5)
    wait_s = window.wait_s(5)
    assert 60 < wait_s <= 120
    assert window.wait_s(5 + wait_s + 1e-6) == 0


@pytest.mark.parametrize("rate", [0.5, 1, 3, 10])
def test_a_steady_flow_gets_its_limit_and_no_more(rate):
    window, passed, now_s = Window(60, 60), 0, 0.0
    while now_s < 3600:
        if window.wait_s(now_s) == 0:
            window.add(1, now_s)
            passed += 1
        now_s += 1 / rate
    assert 0.95 * min(rate, 1) * 3600 <= passed <= 1.02 * min(rate, 1) * 3600 + 60


def test_no_minute_ever_holds_more_than_twice_the_limit_and_hardly_one_more_than_the_limit():
    random.seed(7)
    window, times, now_s = Window(50, 60), [], 0.0
    while now_s < 4000:
        now_s += random.expovariate(random.choice([0.3, 5]))
        if window.wait_s(now_s) == 0:
            window.add(1, now_s)
            times.append(now_s)
    held = [sum(1 for t in times[i:] if t < start + 60) for i, start in enumerate(times)]
    assert max(held) <= 100
    assert sorted(held)[int(len(held) * 0.9)] <= 60


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=60))
def test_the_wait_is_always_enough_and_never_more_than_two_spans(steps):
    window, now_s = Window(20, 30), 1000.0
    for pause_s, amount in steps:
        now_s += pause_s
        window.add(amount, now_s)
        wait_s = window.wait_s(now_s)
        assert 0 <= wait_s <= 60
        assert window.used(now_s) >= 0
        probe = Window(20, 30)
        for name in Window.__slots__:
            setattr(probe, name, getattr(window, name))
        assert probe.wait_s(now_s + wait_s + 1e-6) == 0
