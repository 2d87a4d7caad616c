"""POST /v1/feedback, through the gateway."""

import pytest

from app.decisions.store import StoreError

KEYS = {"keys": [{"key": "key-a", "tenant": "a"}, {"key": "key-b", "tenant": "b"}]}


@pytest.fixture
def logged(tmp_path):
    return {"decisions": {"url": f"sqlite:///{tmp_path / 'thinkgate.db'}"}}


async def give(gateway, body, key="", who=""):
    headers = ({"idempotency-key": key} if key else {}) | ({"authorization": f"Bearer key-{who}"} if who else {})
    return await gateway.http.post("/v1/feedback", json=body, headers=headers)


async def decided(gateway, **fields):
    return (await gateway.chat(**fields)).headers["x-thinkgate-decision-id"]


async def test_feedback_is_shown_with_its_decision_and_counted(start, logged):
    gateway = await start(score=0.9, **logged)
    one = await decided(gateway)
    before = (await gateway.http.get(f"/v1/decisions/{one}")).json()
    assert before["feedback"] == []
    answer = await give(gateway, {"decision_id": one, "verdict": "overprovisioned", "correct": True, "note": "太慢"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told.pop("id").startswith("fb_")
    assert told.pop("time") > 1.7e9
    assert told == {
        "object": "feedback",
        "decision_id": one,
        "verdict": "overprovisioned",
        "correct": True,
        "note": "太慢",
    }
    assert (await gateway.http.get(f"/v1/decisions/{one}")).json() == before | {"feedback": [answer.json()]}
    assert "feedback" not in (await gateway.http.get("/v1/decisions")).json()["data"][0]
    assert await gateway.metric("thinkgate_feedback_total", mode="thinking", verdict="overprovisioned") == 1


async def test_sent_again_under_its_key_it_is_one_and_gives_the_same_answer(start, logged):
    gateway = await start(**logged)
    one = await decided(gateway)
    body = {"decision_id": one, "verdict": "failed"}
    first = await give(gateway, body, "once")
    again = await give(gateway, body | {"correct": None}, "once")
    assert (again.status_code, again.content) == (first.status_code, first.content) == (200, first.content)
    other = await give(gateway, body | {"verdict": "good_fit"}, "once")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert len((await gateway.http.get(f"/v1/decisions/{one}")).json()["feedback"]) == 1
    assert await gateway.metric("thinkgate_feedback_total", mode="instruct", verdict="failed") == 1
    assert await gateway.metric("thinkgate_feedback_total", mode="instruct", verdict="good_fit") == 0


async def test_a_tenant_judges_its_own_decisions_alone(start, logged):
    gateway = await start(auth=KEYS, **logged)
    one = (await gateway.chat({"authorization": "Bearer key-a"})).headers["x-thinkgate-decision-id"]
    body = {"decision_id": one, "verdict": "good_fit"}
    foreign, unknown = await give(gateway, body, who="b"), await give(gateway, body | {"decision_id": "dec_0"}, who="b")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.text.replace(one, "dec_0") == unknown.text
    assert (await give(gateway, body)).status_code == 401
    assert (await give(gateway, body, who="a")).status_code == 200


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"verdict": "failed"}, "decision_id"),
        ({"decision_id": "dec_0"}, "verdict"),
        ({"decision_id": "dec_0", "verdict": "meh"}, "verdict"),
        ({"decision_id": 7, "verdict": "failed"}, "decision_id"),
        ({"decision_id": "", "verdict": "failed"}, "decision_id"),
        ({"decision_id": "x" * 101, "verdict": "failed"}, "decision_id"),
        ({"decision_id": "a\nb", "verdict": "failed"}, "decision_id"),
        ({"decision_id": "dec_0", "verdict": "failed", "correct": "yes"}, "correct"),
        ({"decision_id": "dec_0", "verdict": "failed", "note": "x" * 2001}, "note"),
        ({"decision_id": "dec_0", "verdict": "failed", "note": "\0"}, "note"),
        ({"decision_id": "dec_0", "verdict": "failed", "nota": "x"}, "nota"),
    ],
)
async def test_a_field_that_cannot_be_used_is_named(start, logged, body, named):
    gateway = await start(**logged)
    answer = await give(gateway, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", named), error
    assert f"{named}`" in error["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 60_000, 400),
        (b'{"decision_id":"dec_0","verdict":"failed","note":"\\ud800"}', 400),
        (b" " * 70_000, 413),
    ],
)
async def test_other_bodies_are_the_clients_fault(start, logged, body, status):
    gateway = await start(**logged)
    answer = await gateway.http.post("/v1/feedback", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_key_has_a_bound(start, logged):
    gateway = await start(**logged)
    body = {"decision_id": await decided(gateway), "verdict": "failed"}
    assert (await give(gateway, body, "k" * 255)).status_code == 200
    assert (await give(gateway, body, "k" * 256)).status_code == 400


async def test_more_than_a_decision_takes_is_refused(start, logged, monkeypatch):
    monkeypatch.setattr("app.decisions.sqlite.MOST_A_DECISION", 1)
    gateway = await start(**logged)
    body = {"decision_id": await decided(gateway), "verdict": "failed"}
    assert (await give(gateway, body)).status_code == 200
    answer = await give(gateway, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_much_feedback")


async def test_without_a_log_the_answer_says_what_is_missing(start):
    gateway = await start()
    answer = await give(gateway, {"decision_id": "dec_0", "verdict": "failed"})
    assert answer.status_code == 404
    assert "`decisions.url` is not set" in answer.json()["error"]["message"]


async def test_a_store_that_fails_is_a_503_and_the_same_key_may_come_again(start, logged, monkeypatch):
    from app.decisions.sqlite import SqliteStore

    gateway = await start(**logged)
    body = {"decision_id": await decided(gateway), "verdict": "failed"}
    real = SqliteStore.give

    def broken(self, *_):
        raise StoreError("disk I/O error in /var/lib")

    monkeypatch.setattr(SqliteStore, "give", broken)
    answer = await give(gateway, body, "k")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "decisions_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert "/var/lib" not in answer.text
    monkeypatch.setattr(SqliteStore, "give", real)
    assert (await give(gateway, body, "k")).status_code == 200
