"""The queue: turns between tenants, a bound, and who goes where it is full."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.pools.queue import FairQueue


@dataclass(eq=False)
class Waiter:
    tenant: str
    number: int = 0


def filled(capacity: int, tenants: str) -> tuple[FairQueue[Waiter], list[Waiter]]:
    queue: FairQueue[Waiter] = FairQueue(capacity)
    waiters = [Waiter(tenant, i) for i, tenant in enumerate(tenants)]
    for waiter in waiters:
        assert queue.push(waiter) is None
    return queue, waiters


def drained(queue: FairQueue[Waiter]) -> str:
    out = ""
    while (waiter := queue.pop()) is not None:
        out += waiter.tenant
    return out


def test_one_tenant_is_served_in_order():
    queue, waiters = filled(10, "aaaa")
    assert [queue.pop() for _ in range(4)] == waiters
    assert queue.pop() is None


def test_tenants_are_served_in_turns():
    queue, _ = filled(100, "aaaaaabbc")
    assert drained(queue) == "abcabaaaa"


def test_who_comes_late_does_not_wait_behind_a_flood():
    queue, _ = filled(1000, "a" * 500)
    queue.pop()
    queue.push(Waiter("b"))
    assert "b" in (drained(queue))[:2]


def test_a_full_queue_turns_the_flood_away_and_not_the_others():
    queue, waiters = filled(5, "aaaaa")
    assert queue.push(newcomer := Waiter("a")) is newcomer
    assert queue.push(Waiter("b")) is waiters[-1], "the last of the longest line goes"
    assert len(queue) == 5
    assert drained(queue) == "abaaa"


def test_a_full_queue_of_equals_turns_the_newcomer_away():
    queue, _ = filled(4, "aabb")
    for tenant in "abc":
        waiter = Waiter(tenant)
        gone = queue.push(waiter)
        assert (gone is waiter) == (tenant != "c")


def test_a_queue_of_no_size_lets_nobody_wait():
    queue: FairQueue[Waiter] = FairQueue(0)
    waiter = Waiter("a")
    assert queue.push(waiter) is waiter
    assert len(queue) == 0


def test_who_leaves_is_forgotten():
    queue, waiters = filled(10, "aab")
    assert queue.remove(waiters[0])
    assert not queue.remove(waiters[0])
    assert not queue.remove(Waiter("z"))
    assert len(queue) == 2
    assert drained(queue) == "ab"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["push", "pop", "remove"])), max_size=200))
def test_nobody_is_lost_and_nobody_is_served_twice(steps):
    queue: FairQueue[Waiter] = FairQueue(7)
    inside: list[Waiter] = []
    for i, (tenant, step) in enumerate(steps):
        if step == "push":
            waiter = Waiter(tenant, i)
            gone = queue.push(waiter)
            inside.append(waiter)
            if gone is not None:
                inside.remove(gone)
        elif step == "pop":
            found = queue.pop()
            assert (found is None) == (not inside)
            if found is not None:
                inside.remove(found)
                assert found.number == min(w.number for w in [*inside, found] if w.tenant == found.tenant)
        elif inside:
            assert queue.remove(inside.pop(len(inside) // 2))
        assert len(queue) == len(inside) <= 7
