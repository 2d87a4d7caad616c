"""Feedback in the SQLite store: once a key, by the decision's own tenant, for as long as decisions are kept."""

import threading

import pytest

from app.decisions import feedback as module
from app.decisions.feedback import KeyReused, TooMuchFeedback, UnknownDecision, Verdict, new_feedback
from app.decisions.sqlite import SqliteStore
from app.decisions.store import StoreError
from router.mode import Mode
from tests.app.decisions.conftest import record


def said(decision_id, verdict=Verdict.GOOD_FIT, correct=None, note=None):
    return new_feedback(decision_id, verdict, correct, note)


@pytest.fixture
def one(store):
    one = record(mode=Mode.INSTRUCT)
    store.write([one])
    return one


def test_what_is_given_is_read_field_by_field(store, one):
    full, bare, wrong = (
        said(one.id, Verdict.UNDERPOWERED, True, "说明 'quoted' \n"),
        said(one.id, Verdict.FAILED),
        said(one.id, Verdict.OVERPROVISIONED, False),
    )
    for feedback in (full, bare, wrong):
        given = store.give("default", feedback, "")
        assert (given.feedback, given.mode) == (feedback, Mode.INSTRUCT)
    assert store.feedback("default", one.id) == [full, bare, wrong]
    assert store.feedback("b", one.id) == []
    assert store.feedback("default", "dec_0") == []


def test_another_tenants_decision_is_unknown(store, one):
    for tenant, decision_id in (("b", one.id), ("default", "dec_0")):
        with pytest.raises(UnknownDecision):
            store.give(tenant, said(decision_id), "")
    assert store.feedback("default", one.id) == []


def test_a_key_counts_once_and_gives_what_it_gave(store, one):
    first = said(one.id, note="a")
    assert store.give("default", first, "k").mode is Mode.INSTRUCT
    again = store.give("default", said(one.id, note="a"), "k")
    assert (again.feedback, again.mode) == (first, None)
    for other in (
        said(one.id),
        said(one.id, Verdict.FAILED, note="a"),
        said(one.id, correct=True, note="a"),
        said("x"),
    ):
        with pytest.raises(KeyReused):
            store.give("default", other, "k")
    assert store.give("default", said(one.id, note="a"), "another").mode is Mode.INSTRUCT
    assert len(store.feedback("default", one.id)) == 2


def test_keys_of_tenants_are_their_own(store, one):
    other = record(tenant="b")
    store.write([other])
    assert store.give("default", said(one.id), "k").mode
    assert store.give("b", said(other.id), "k").mode


def test_at_once_under_one_key_it_is_kept_once(store, path, one):
    given, barrier = [], threading.Barrier(8)

    def give():
        barrier.wait(30)
        given.append(SqliteStore(path).give("default", said(one.id), "k"))

    threads = [threading.Thread(target=give) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(given) == 8
    assert sum(g.mode is not None for g in given) == 1
    assert {g.feedback.id for g in given} == {store.feedback("default", one.id)[0].id}


def test_a_decision_takes_only_so_much(store, one, monkeypatch):
    monkeypatch.setattr("app.decisions.sqlite.MOST_A_DECISION", 3)
    assert module.MOST_A_DECISION >= 100
    for i in range(3):
        store.give("default", said(one.id), f"k{i}")
    with pytest.raises(TooMuchFeedback):
        store.give("default", said(one.id), "k3")
    assert store.give("default", said(one.id), "k0").mode is None  # what was said is still told


def test_feedback_goes_when_decisions_of_its_age_go(store, one):
    store.give("default", said(one.id), "k")
    later = store.feedback("default", one.id)[0].time
    store.forget(later, 1000)
    assert store.get("default", one.id) is None
    assert len(store.feedback("default", one.id)) == 1
    store.forget(later + 1, 1000)
    assert store.feedback("default", one.id) == []


def test_a_store_that_cannot_be_used_says_so(tmp_path):
    store = SqliteStore(str(tmp_path / "nowhere" / "x.db"))
    with pytest.raises(StoreError):
        store.give("default", said("dec_0"), "")
