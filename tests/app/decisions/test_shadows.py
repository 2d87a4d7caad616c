"""Shadows in a store: one a decision, of its tenant alone, summed up by profile and mode, forgotten like decisions."""

import pytest

from app.decisions.measured import ENOUGH_PAIRS, measured
from app.decisions.shadow import Shadow, ShadowSum
from app.decisions.store import DecisionStore
from router.mode import Mode
from tests.app.decisions.conftest import record


def shadow(number: int, **changes: object) -> Shadow:
    usual: dict[str, object] = {
        "decision_id": f"dec_{number}",
        "time": 100.0 + number,
        "profile": "default",
        "mode": Mode.THINKING,
        "tokens": 300,
        "seconds": 6.0,
        "client_tokens": 100,
        "client_seconds": 2.0,
    }
    return Shadow(**usual | changes)  # type: ignore[arg-type]


def test_a_shadow_is_kept_once_and_is_its_tenants(store: DecisionStore) -> None:
    store.write([record(id="dec_1")])
    store.keep_shadow("default", shadow(1, answer="said"))
    store.keep_shadow("default", shadow(1, tokens=7))
    assert store.shadow("default", "dec_1") == shadow(1, answer="said")
    assert store.shadow("other", "dec_1") is None
    assert store.shadow("default", "dec_2") is None


def test_shadows_are_summed_up_by_profile_and_mode(store: DecisionStore) -> None:
    store.write([record()])
    for number in range(4):
        store.keep_shadow("default", shadow(number, tokens=300 + 100 * (number % 2)))
    store.keep_shadow("default", shadow(4, mode=Mode.INSTRUCT, tokens=20, seconds=0.5))
    store.keep_shadow("default", shadow(5, profile="quick"))
    store.keep_shadow("other", shadow(6))
    found = {(one.profile, one.mode): one for one in store.shadow_sums("default", 100.0, 110.0)}
    assert found["default", Mode.THINKING] == ShadowSum("default", Mode.THINKING, 4, 1000.0, 260_000.0, 16.0, 64.0)
    assert found["default", Mode.INSTRUCT] == ShadowSum("default", Mode.INSTRUCT, 1, -80.0, 6400.0, -1.5, 2.25)
    assert found["quick", Mode.THINKING].pairs == 1
    assert len(found) == 3
    assert sum(one.pairs for one in store.shadow_sums("default", 101.0, 103.0)) == 2, "the end is not included"


def test_old_shadows_go_with_old_decisions(store: DecisionStore) -> None:
    store.write([record(id="dec_1", time=101.0)])
    store.keep_shadow("default", shadow(1))
    store.keep_shadow("default", shadow(2, time=1e9))
    store.forget(200.0, 100)
    assert store.shadow("default", "dec_1") is None
    assert store.shadow("default", "dec_2") is not None


def test_numbers_that_overflow_integers_are_summed(store: DecisionStore) -> None:
    store.write([record()])
    store.keep_shadow("default", shadow(1, tokens=2**62, client_tokens=0))
    store.keep_shadow("default", shadow(2, tokens=2**62, client_tokens=0))
    (one,) = store.shadow_sums("default", 0.0, 1e9)
    assert one.tokens == pytest.approx(2.0**63)


def test_few_pairs_measure_nothing() -> None:
    def sums(pairs: int) -> ShadowSum:
        return ShadowSum("default", Mode.THINKING, pairs, 10.0 * pairs, 104.0 * pairs, 2.0 * pairs, 4.0 * pairs)

    few = measured([sums(ENOUGH_PAIRS - 1)])["thinking"]
    assert (few.pairs, few.tokens, few.seconds) == (ENOUGH_PAIRS - 1, None, None)
    found = measured([sums(60), sums(40)])["thinking"]
    assert found.tokens is not None
    assert found.seconds is not None
    assert found.tokens.mean == 10.0
    # differences of variance 4: a standard error of 0.2 for a hundred
    assert found.tokens.high - found.tokens.mean == pytest.approx(1.96 * 0.2, rel=0.01)
    assert found.seconds.low == found.seconds.high == 2.0
