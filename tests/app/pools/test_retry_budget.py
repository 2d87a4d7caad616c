"""The retry budget: a share of the requests, and a few in any case."""

from app.pools.retry_budget import RetryBudget
from app.settings import Retries


def taken(budget: RetryBudget, at_s: float, tries: int = 10_000) -> int:
    return sum(budget.take(at_s) for _ in range(tries))


def test_a_few_are_allowed_in_any_case():
    budget = RetryBudget(Retries(share=0.2, at_least=7), 0.0)
    assert taken(budget, 0.1) == 7


def test_they_come_back_with_time():
    budget = RetryBudget(Retries(share=0, at_least=10), 0.0)
    assert taken(budget, 0.0) == 10
    assert taken(budget, 5.0) == 5
    assert taken(budget, 100.0) == 10


def test_a_share_of_the_requests_is_allowed():
    budget = RetryBudget(Retries(share=0.2, at_least=0), 0.0)
    total = 0
    for second in range(1, 101):
        budget.requests += 100
        total += taken(budget, float(second))
    assert 0.19 * 10_000 <= total <= 0.2 * 10_000


def test_a_burst_is_bounded_by_the_last_ten_seconds_whatever_went_before():
    budget = RetryBudget(Retries(share=0.1, at_least=0), 0.0)
    budget.requests = 3_600_000  # an hour at 1,000 a second, without a failure
    assert 900 <= taken(budget, 3600.0) <= 1001


def test_requests_of_long_ago_do_not_count():
    budget = RetryBudget(Retries(share=0.1, at_least=0), 0.0)
    budget.requests = 10_000
    budget.take(10.0)
    assert taken(budget, 100.0) == 0


def test_none_means_none():
    assert taken(RetryBudget(Retries(share=0, at_least=0), 0.0), 50.0) == 0
