"""A window of several gateways: what others used counts, what was used here stays, spans begin together."""

import random

import pytest

from app.limits.window import Window
from app.state.window import SharedWindow


def told(window, now_s, others=0.0, before=0.0, offset_s=1_000_000.0):
    """As the server, whose clock is `offset_s` ahead of this one, tells it."""
    span, past_s = divmod(now_s + offset_s, window.span_s)
    window.told(int(span), past_s, others, before, now_s)


def test_alone_it_is_a_window_like_any_other():
    random.seed(5)
    one, other = Window(100, 60.0), SharedWindow(100, 60.0)
    now_s = 7.0
    for _ in range(2000):
        now_s += random.expovariate(0.5)
        amount = random.randint(0, 9)
        for window in (one, other):
            window.add(amount, now_s)
        assert other.used(now_s) == pytest.approx(one.used(now_s))
        assert other.wait_s(now_s) == pytest.approx(one.wait_s(now_s))


def test_what_others_used_counts_and_what_is_used_meanwhile_is_added():
    window = SharedWindow(10, 60.0)
    window.add(3, 100.0)
    told(window, 100.0)
    told(window, 100.1, others=4)
    assert window.used(100.1) == 7
    window.add(2, 100.2)
    assert (window.used(100.2), window.mine) == (9, 5)
    assert window.wait_s(100.2) == 0
    told(window, 100.3, others=5)
    assert window.used(100.3) == 10
    assert window.wait_s(100.3) > 0


def test_what_others_used_before_leaves_the_window_by_and_by():
    window = SharedWindow(100, 60.0)
    told(window, 0.0, offset_s=600.0)
    told(window, 15.0, others=10, before=40, offset_s=600.0)
    assert window.used(15.0) == 10 + 40 * 0.75
    assert window.used(60.0) == 10
    assert window.used(90.0) == 5
    assert window.used(180.0) == 0


def test_spans_begin_when_the_servers_do_in_every_gateway():
    windows = [SharedWindow(10, 60.0) for _ in range(3)]
    for i, window in enumerate(windows):
        window.add(1, 3.0 + 20 * i)
        told(window, 50.0, offset_s=1000.0)  # a span begins at 20 and at 80
        window.add(1, 79.9)
    assert [w.mine for w in windows] == [2, 2, 2]
    for window in windows:
        window.add(1, 80.1)
    assert [(w.mine, w.mine_before, w.span) for w in windows] == [(1, 2, 18)] * 3
    for window in windows:
        window.add(5, 80.1 + 10 * 60)
        assert (window.mine, window.mine_before, window.span) == (5, 0, 28)
        assert window.used(80.1 + 10 * 60) == 5


def test_a_server_that_turns_first_is_followed():
    window = SharedWindow(10, 60.0)
    told(window, 50.0, offset_s=1000.0)
    window.add(4, 50.0)
    window.told(18, 0.1, 2.0, 3.0, 79.9)  # by this clock the span has a tenth of a second left
    assert (window.mine, window.mine_before, window.span) == (0, 4, 18)
    assert window.used(79.9) == pytest.approx(2 + 7, abs=0.05)


def test_a_server_that_has_not_turned_yet_is_not_listened_to():
    window = SharedWindow(10, 60.0)
    told(window, 50.0, offset_s=1000.0)
    window.add(4, 50.0)
    window.add(1, 80.05)
    window.told(17, 59.99, 9.0, 0.0, 80.05)
    assert (window.mine, window.mine_before, window.span) == (1, 4, 18)


def test_a_server_whose_clock_was_set_back_is_believed():
    window = SharedWindow(10, 60.0)
    told(window, 50.0, offset_s=1000.0)
    window.add(4, 50.0)
    told(window, 51.0, others=1, offset_s=400.0)
    assert (window.used(51.0), window.mine, window.span) == (5, 4, 7)


def test_a_clock_that_was_set_back_by_just_one_span_is_no_server_that_has_not_turned_yet():
    window = SharedWindow(10, 60.0)
    told(window, 50.0, offset_s=1000.0)
    window.add(4, 50.0)
    told(window, 51.0, others=3, offset_s=940.0)
    assert (window.used(51.0), window.span) == (7, 16)
    told(window, 300.0, others=3, offset_s=940.0)
    assert window.used(300.0) == 3, "and the server is heard from then on"


def test_without_a_server_it_goes_on_by_itself():
    window = SharedWindow(10, 60.0)
    told(window, 0.0)
    told(window, 1.0, others=10)
    assert window.wait_s(1.0) > 0
    assert window.used(130.0) == 0
    window.add(10, 130.0)
    assert window.wait_s(130.0) > 0
