"""Accounts and ledgers: what is checked, what is counted, what survives a change."""

import pytest

from app.errors import RateLimited
from app.limits.account import Account
from app.limits.ledger import Ledger
from app.limits.ledgers import Ledgers
from app.limits.settings import Limits, Tenant


def ledger(**limits) -> Ledger:
    return Ledger(Account("key", Limits(**limits)))


def test_requests_per_minute():
    found = ledger(requests_per_minute=2)
    found.request(10)
    found.request(11)
    with pytest.raises(RateLimited) as caught:
        found.request(12)
    error = caught.value
    assert (error.status, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert error.message == "The limit of this key, 2 requests per minute, is reached."
    assert 1 <= error.retry_after_s <= 120
    found.request(12 + error.retry_after_s)


def test_requests_at_once():
    found = ledger(concurrent=2)
    found.begin()
    found.begin()
    with pytest.raises(RateLimited, match="2 requests at once"):
        found.begin()
    found.end()
    found.begin()


@pytest.mark.parametrize(("name", "span_s"), [("tokens_per_minute", 60), ("tokens_per_hour", 3600)])
def test_tokens(name, span_s):
    found = ledger(**{name: 100})
    found.use(99, 0, 10)
    found.request(10)
    found.use(50, 0, 10)
    with pytest.raises(RateLimited, match="100 tokens per"):
        found.request(11)
    found.request(10 + 2 * span_s)


def test_thinking_tokens_stop_thinking_and_nothing_else():
    found = ledger(thinking_tokens_per_hour=100)
    assert found.may_think(10)
    found.use(500, 100, 10)
    assert not found.may_think(10)
    found.request(10)
    with pytest.raises(RateLimited, match="100 thinking tokens per hour"):
        found.check_thinking(10)
    assert found.may_think(10 + 7200)


def test_a_request_that_the_tenant_may_not_make_costs_the_key_nothing():
    key, tenant = Account("key", Limits(requests_per_minute=10)), Account("tenant", Limits(requests_per_minute=1))
    found = Ledger(key, tenant)
    found.request(0)
    for _ in range(50):
        with pytest.raises(RateLimited, match="tenant"):
            found.request(1)
    for _ in range(9):
        Ledger(key).request(1)
    assert Ledger(Account("key", Limits(concurrent=1)), tenant).begin() is None


def test_keys_of_a_tenant_share_its_account():
    ledgers, tenants = Ledgers(), {"t": Tenant(limits=Limits(requests_per_minute=2))}
    one, two = (ledgers.ledger(key, Limits(), "t", tenants) for key in ("k1", "k2"))
    assert one is not None
    assert two is not None
    one.request(0)
    two.request(0)
    for found in (one, two):
        with pytest.raises(RateLimited):
            found.request(0)


def test_tenants_without_a_name_of_their_own_have_an_account_each():
    ledgers, tenants = Ledgers(), {"*": Tenant(limits=Limits(requests_per_minute=1))}
    for tenant in ("a", "b"):
        found = ledgers.ledger("k", Limits(), tenant, tenants)
        assert found is not None
        found.request(0)
        with pytest.raises(RateLimited):
            found.request(0)


def test_without_limits_there_is_no_ledger():
    assert Ledgers().ledger("k", Limits(), "t", {"other": Tenant(limits=Limits(concurrent=1))}) is None


def test_what_was_used_survives_a_change_of_the_limits():
    ledgers = Ledgers()
    first = ledgers.ledger("k", Limits(requests_per_minute=5), "t", {})
    assert first is not None
    for _ in range(5):
        first.request(0)
    first.begin()
    second = ledgers.ledger("k", Limits(requests_per_minute=6, concurrent=2), "t", {})
    assert second is not None
    second.request(0)
    with pytest.raises(RateLimited):
        second.request(0)
    second.begin()
    with pytest.raises(RateLimited):
        second.begin()


def test_accounts_that_nobody_asks_for_are_forgotten():
    ledgers = Ledgers()
    limits = Limits(requests_per_minute=1)
    for i in range(100):
        ledgers.ledger(f"k{i}", limits, "t", {})
    ledgers.forget_unused()
    assert len(ledgers._accounts) == 100
    ledgers.ledger("k7", limits, "t", {})
    ledgers.forget_unused()
    assert len(ledgers._accounts) == 1
