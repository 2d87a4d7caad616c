"""What the watch says of a draft's log-probabilities."""

import pytest

from router.policies.escalation import DraftWatch, Escalation

POLICY = Escalation(tokens=4, bound=-0.5)


def verdict(*logprobs, ended=False):
    watch = DraftWatch(POLICY)
    watch.add(logprobs)
    return watch.verdict(ended)


@pytest.mark.parametrize(
    ("logprobs", "ended", "said"),
    [
        ((-0.1, -0.1), False, None),  # not known yet
        ((-0.1, -0.1), True, True),  # a short answer is judged as it is
        ((-0.9, -0.9), True, False),
        ((-0.1, -0.2, -0.3, -0.4), False, True),
        ((-0.5, -0.5, -0.5, -0.5), False, True),  # the bound itself will do
        ((-0.5, -0.5, -0.5, -0.52), False, False),
        ((-2.1,), False, False),  # whatever the other three are, the mean stays below
        ((-2.0,), False, None),
        ((), True, True),  # nothing was told
        ((), False, None),
    ],
)
def test_the_mean_of_the_first_tokens_is_held_against_the_bound(logprobs, ended, said):
    assert verdict(*logprobs, ended=ended) is said


def test_later_tokens_are_counted_but_not_judged():
    watch = DraftWatch(POLICY)
    watch.add([-0.1] * 4 + [-50.0] * 10)
    assert watch.verdict(True) is True
    assert watch.tokens == 14
    assert watch.mean == pytest.approx(-0.1)


def test_minus_infinity_drops_and_a_positive_rounding_error_helps_nothing():
    assert verdict(float("-inf")) is False
    assert verdict(0.001, 0.001, -1.0, -1.002) is False
