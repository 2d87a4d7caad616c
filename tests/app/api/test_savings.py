"""GET /v1/savings, through the gateway."""

import time

import pytest

from app.api.savings import EXAMPLE
from app.decisions.measured import ENOUGH_PAIRS
from app.decisions.savings import ENOUGH
from app.decisions.shadow import Shadow
from app.decisions.sqlite import SqliteStore
from app.decisions.store import StoreError
from router.mode import Mode
from tests.app.decisions.conftest import record

KEYS = {"keys": [{"key": "key-a", "tenant": "a"}, {"key": "key-b", "tenant": "b"}]}
NOW = time.time()


@pytest.fixture
def logged(tmp_path):
    """A log with traffic of two tenants in it."""
    path = str(tmp_path / "thinkgate.db")
    store = SqliteStore(path)
    for tenant, thought in (("a", 900), ("b", 90)):
        usual = {"tenant": tenant, "time": NOW, "answer_tokens": 100, "duration_s": 2.0}
        store.write([record(**usual, score=0.9, reasoning_tokens=thought) for _ in range(ENOUGH)])
        store.write([record(**usual, score=0.1, reasoning_tokens=0, mode=Mode.INSTRUCT) for _ in range(10)])
    for number in range(ENOUGH_PAIRS):
        pair = Shadow(f"dec_{number}", NOW, "default", Mode.THINKING, 1000, 2.0, 100, 1.0)
        store.keep_shadow("a", pair)
    store.write([record(tenant="a", time=NOW - 3 * 86_400, profile="old") for _ in range(ENOUGH)])
    store.close()
    return {"decisions": {"url": f"sqlite:///{path}"}}


async def ask(gateway, who="a", **params):
    return await gateway.http.get("/v1/savings", params=params, headers={"authorization": f"Bearer key-{who}"})


async def test_savings_are_those_of_the_callers_tenant(start, logged):
    gateway = await start(auth=KEYS, **logged)
    for tenant, saved in (("a", 9000), ("b", 900)):
        answer = await ask(gateway, tenant)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["tenant"] == tenant
        total = told["total"]
        assert (total["instruct"], total["thinking"], total["extrapolated"]) == (10, ENOUGH, 10)
        assert total["tokens"]["saved"] == total["tokens"]["low"] == total["tokens"]["high"] == saved
        assert total["seconds"] == {"used": 80.0, "saved": 0.0, "low": 0.0, "high": 0.0, "share": 0.0}
        assert told["profiles"] == {"default": total}
    assert (await gateway.http.get("/v1/savings")).status_code == 401


async def test_a_range_is_of_whole_hours_and_a_day_if_nobody_says(start, logged):
    gateway = await start(auth=KEYS, **logged)
    told = (await ask(gateway)).json()
    assert told["to"] % 3600 == told["from"] % 3600 == 0
    assert told["from"] <= NOW - 86_400 + 60  # a test that runs for a minute is late
    assert NOW <= told["to"] <= time.time() + 3600
    told = (await ask(gateway, **{"from": NOW - 4 * 86_400})).json()
    assert sorted(told["profiles"]) == ["default", "old"]
    told = (await ask(gateway, **{"from": NOW - 4 * 86_400, "profile": "old"})).json()
    assert list(told["profiles"]) == ["old"]
    assert (told["total"]["thinking"], told["total"]["tokens"]) == (ENOUGH, None)
    told = (await ask(gateway, **{"from": 3599.5, "to": 3600.5})).json()
    assert (told["from"], told["to"], told["total"]["instruct"]) == (0, 7200, 0)


async def test_a_request_of_just_now_is_in_it(start, logged):
    gateway = await start(score=0.9, auth=KEYS, **logged)
    await gateway.chat({"authorization": "Bearer key-a"})
    assert (await ask(gateway)).json()["total"]["thinking"] == ENOUGH + 1


async def test_the_answer_has_the_documented_shape(start, logged):
    gateway = await start(auth=KEYS, **logged)
    told = (await ask(gateway)).json()

    def shape(value):
        return {k: shape(v) for k, v in value.items()} if isinstance(value, dict) else None

    assert shape(told) == shape(EXAMPLE)
    assert told["caveats"] == EXAMPLE["caveats"]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": 7200, "to": 3600}, "from"),
        ({"from": 0, "to": 367 * 86_400}, "from"),
        ({"from": "nan"}, "from"),
        ({"to": "inf"}, "to"),
        ({"to": 1e300}, "to"),
        ({"to": -1}, "to"),
        ({"tenant": "b"}, "tenant"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_named(start, logged, params, named):
    gateway = await start(auth=KEYS, **logged)
    answer = await ask(gateway, **params)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_request")
    assert named in error["message"]
    assert named in error["param"]


async def test_without_a_log_the_answer_says_what_is_missing(start):
    gateway = await start()
    answer = await gateway.http.get("/v1/savings")
    assert answer.status_code == 404
    assert "`decisions.url` is not set" in answer.json()["error"]["message"]


async def test_a_store_that_fails_is_a_503(start, logged, monkeypatch):
    def broken(self, *_):
        raise StoreError("disk I/O error")

    monkeypatch.setattr(SqliteStore, "sums", broken)
    gateway = await start(auth=KEYS, **logged)
    answer = await ask(gateway)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "decisions_unavailable")
