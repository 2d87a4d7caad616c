"""The decision log through the gateway: what a request leaves there, and who may read it."""

import sqlite3
import time
from contextlib import closing

import pytest

from app.config_file import ConfigError, parse_settings
from app.decisions import store as stores
from app.decisions.sqlite import SqliteStore
from tests.app.conftest import both_ways, soon
from tests.app.scripted_upstream import stream

KEYS = {"keys": [{"key": "key-a", "tenant": "a"}, {"key": "key-b", "tenant": "b"}]}
SECRET = "what nobody may read later"


def logging_to(path, **more):
    return {"decisions": {"url": f"sqlite:///{path}", **more}}


def key(name):
    return {"authorization": f"Bearer key-{name}"}


async def decisions(gateway, headers=None, **params):
    answer = await gateway.http.get("/v1/decisions", params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@both_ways
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_request_is_in_the_log_with_what_it_cost(start, path, streamed):
    gateway = await start(score=0.9, **logging_to(path))
    before = time.time()
    answer = await gateway.chat(stream=streamed)
    decision_id = answer.headers["x-thinkgate-decision-id"]
    one = (await gateway.http.get(f"/v1/decisions/{decision_id}")).json()
    assert {name: one.pop(name) for name in ("time", "duration_s", "judge_s", "ttft_s", "prompt_tokens")}
    tokens = (one.pop("reasoning_tokens"), one.pop("answer_tokens"))
    assert tokens == (
        await gateway.metric("thinkgate_tokens_total", mode="thinking", kind="reasoning"),
        await gateway.metric("thinkgate_tokens_total", mode="thinking", kind="answer"),
    )
    assert one == {
        "id": decision_id,
        "tenant": "default",
        "api": "chat",
        "asked": "auto",
        "profile": "default",
        "mode": "thinking",
        "reason": "judge",
        "because": "score 0.9000 >= threshold 0.5",
        "score": 0.9,
        "threshold": 0.5,
        "judge": "constant@1",
        "pool": "deep",
        "model": "thinking",
        "fallback_from": "",
        "status": 200,
        "stream": streamed,
        "prompt": None,
        "propensity": None,
        "feedback": [],
        "shadow": None,
    }
    facts = (await decisions(gateway))["data"][0]
    assert before <= facts["time"] <= time.time()
    assert 0 < facts["duration_s"] < 60
    assert 0 < facts["judge_s"] < facts["duration_s"]
    assert (0 < facts["ttft_s"] <= facts["duration_s"]) if streamed else facts["ttft_s"] is None
    assert facts["prompt_tokens"] > 0


async def test_an_explored_mode_is_logged_with_its_propensity(start, path):
    gateway = await start(score=0.9, profiles={"default": {"explore": 0.25, "metadata": "body"}}, **logging_to(path))
    gateway.app.router._chance = iter([0.1, 0.6]).__next__
    told = [(await gateway.chat()).json()["routing"] for _ in range(2)]
    kept = (await decisions(gateway))["data"][::-1]
    assert [(one["mode"], one["propensity"]) for one in kept] == [("instruct", 0.25), ("thinking", 0.75)]
    assert [one["because"] for one in kept] == [one["because"] for one in told]
    assert kept[0]["because"] == "explored, against score 0.9000 >= threshold 0.5"
    assert await gateway.metric("thinkgate_explored_total", mode="instruct") == 1
    assert await gateway.metric("thinkgate_explored_total", mode="thinking") == 0


async def test_what_a_fallback_answered_was_not_chosen_with_any_propensity(start, path):
    gateway = await start(score=0.9, profiles={"default": {"explore": 0.25}}, **logging_to(path))
    gateway.app.router._chance = iter([0.6]).__next__
    await gateway.deep.refuse()
    assert (await gateway.chat()).headers["x-thinkgate-reason"] == "fallback"
    assert [one["propensity"] for one in (await decisions(gateway))["data"]] == [None]


async def test_the_words_are_those_of_the_metadata(start, path):
    gateway = await start(score=0.1, **logging_to(path))
    for fields in ({}, {"model": "auto-thinking"}, {"reasoning_effort": "none"}, {"model": "instruct"}):
        told = (await gateway.chat(**fields)).json().get("routing")
        kept = (await decisions(gateway))["data"][0]
        if told is None:
            continue
        told["id"] = told.pop("decision_id")
        assert {name: kept[name] for name in told} == told


async def test_a_fallback_is_told(start, path):
    gateway = await start(score=0.9, **logging_to(path))
    await gateway.deep.stop()
    assert (await gateway.chat()).status_code == 200
    one = (await decisions(gateway))["data"][0]
    assert (one["mode"], one["reason"], one["pool"], one["fallback_from"]) == ("instruct", "fallback", "fast", "deep")
    assert one["because"].startswith("score 0.9000 >=")


async def test_an_error_has_a_decision_too(start, path):
    gateway = await start(**logging_to(path), profiles={"default": {"fallback": False}})
    await gateway.fast.stop()
    assert (await gateway.chat()).status_code == 503
    one = (await decisions(gateway))["data"][0]
    assert (one["status"], one["answer_tokens"]) == (503, None)


async def test_requests_without_a_decision_leave_nothing(start, path):
    gateway = await start(**logging_to(path))
    assert (await gateway.chat(model="nobody")).status_code == 404
    assert (await gateway.chat(messages=[])).status_code == 400
    await gateway.http.post("/v1/route", json={"model": "auto", "messages": [{"role": "user", "content": "hi"}]})
    assert await decisions(gateway) == {
        "object": "list",
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


async def test_the_prompt_is_nowhere_in_the_files_unless_asked_for(start, path, tmp_path):
    gateway = await start(**logging_to(path))
    await gateway.chat(messages=[{"role": "user", "content": SECRET}])
    assert (await decisions(gateway))["data"][0]["prompt"] is None
    files = [file for file in tmp_path.iterdir() if file.name.startswith("thinkgate.db")]
    assert len(files) == 3
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]


async def test_the_prompt_is_kept_where_that_is_asked_for_up_to_a_length(start, path):
    gateway = await start(**logging_to(path, store_prompts=True))
    await gateway.chat(messages=[{"role": "user", "content": SECRET}])
    assert (await decisions(gateway))["data"][0]["prompt"] == SECRET
    await gateway.chat(messages=[{"role": "user", "content": "很长 " * 5000}])
    assert len((await decisions(gateway))["data"][0]["prompt"]) == 2000


# ---------------------------------------------------------------------- reading


async def test_tenants_see_their_own(start, path):
    gateway = await start(auth=KEYS, **logging_to(path))
    ids = {name: (await gateway.chat(key(name))).headers["x-thinkgate-decision-id"] for name in "ab"}
    for name, other in ("ab", "ba"):
        assert [d["id"] for d in (await decisions(gateway, key(name)))["data"]] == [ids[name]]
        own = await gateway.http.get(f"/v1/decisions/{ids[name]}", headers=key(name))
        assert own.json()["tenant"] == name
        foreign = await gateway.http.get(f"/v1/decisions/{ids[other]}", headers=key(name))
        unknown = await gateway.http.get("/v1/decisions/dec_0", headers=key(name))
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert foreign.text.replace(ids[other], "dec_0") == unknown.text
        cursor = await gateway.http.get("/v1/decisions", params={"before": ids[other]}, headers=key(name))
        assert cursor.status_code == 400
    assert (await gateway.http.get("/v1/decisions")).status_code == 401


async def test_pages_are_walked_by_last_id(start, path):
    gateway = await start(**logging_to(path))
    ids = [(await gateway.chat()).headers["x-thinkgate-decision-id"] for _ in range(5)][::-1]
    first = await decisions(gateway, limit=2)
    second = await decisions(gateway, limit=2, before=first["last_id"])
    third = await decisions(gateway, limit=2, before=second["last_id"])
    assert [[d["id"] for d in page["data"]] for page in (first, second, third)] == [ids[:2], ids[2:4], ids[4:]]
    assert [page["has_more"] for page in (first, second, third)] == [True, True, False]
    assert (first["first_id"], first["last_id"]) == (ids[0], ids[1])


async def test_decisions_are_filtered(start, path):
    gateway = await start(**logging_to(path))
    await gateway.chat()
    await gateway.chat(model="auto-thinking")
    for params, models in (
        ({"mode": "thinking"}, ["auto-thinking"]),
        ({"mode": "instruct"}, ["auto"]),
        ({"reason": "client_model"}, ["auto-thinking"]),
        ({"reason": "judge", "mode": "thinking"}, []),
    ):
        assert [d["asked"] for d in (await decisions(gateway, **params))["data"]] == models


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"mode": "fast"}, "mode"),
        ({"reason": "whim"}, "reason"),
        ({"before": "dec_0"}, "before"),
        ({"before": "x" * 101}, "before"),
        ({"mdoe": "thinking"}, "mdoe"),
    ],
)
async def test_a_parameter_that_cannot_be_used_is_named(start, path, params, named):
    gateway = await start(**logging_to(path))
    answer = await gateway.http.get("/v1/decisions", params=params)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_request")
    assert named in error["message"]
    assert named in error["param"]


@pytest.mark.parametrize("where", ["/v1/decisions", "/v1/decisions/dec_0"])
@pytest.mark.parametrize("changes", [{}, {"decisions": {"url": ""}}])
async def test_without_a_log_the_answer_says_what_is_missing(start, where, changes):
    gateway = await start(**changes)
    assert gateway.app.decisions is None
    await gateway.chat()
    answer = await gateway.http.get(where)
    assert answer.status_code == 404
    assert "`decisions.url` is not set" in answer.json()["error"]["message"]


# ---------------------------------------------------------------------- trouble


async def test_requests_go_on_while_the_log_cannot_be_written_and_are_kept_afterwards(start, tmp_path, caplog):
    folder = tmp_path / "later"
    gateway = await start(**logging_to(folder / "thinkgate.db"))
    ids = [(await gateway.chat()).headers["x-thinkgate-decision-id"] for _ in range(3)]
    for where in ("/v1/decisions", f"/v1/decisions/{ids[0]}"):
        answer = await gateway.http.get(where)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "decisions_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert str(folder) not in answer.text
    assert caplog.text.count("cannot be written") == 1
    folder.mkdir()
    assert [d["id"] for d in (await decisions(gateway))["data"]] == ids[::-1]


async def test_requests_go_on_while_the_disk_is_full(start, path, monkeypatch):
    write = SqliteStore.write

    def full(self, records):
        raise stores.StoreError("database or disk is full")

    monkeypatch.setattr(SqliteStore, "write", full)
    gateway = await start(**logging_to(path))
    assert [(await gateway.chat()).status_code for _ in range(3)] == [200] * 3
    monkeypatch.setattr(SqliteStore, "write", write)
    assert len((await decisions(gateway))["data"]) == 3


async def test_a_client_that_leaves_is_a_499(start, path):
    gateway = await start(**logging_to(path))
    gateway.fast.scripts.append(stream("chat_instruct_stream_usage", pause_s=0.2))
    client = await gateway.raw()
    await client.ask(stream=True)
    for _ in range(3):  # the first event names the role and holds no token
        await client.until(b"data: ")
    client.vanish()
    assert await soon(lambda: not gateway.in_flight(), 5)
    one = (await decisions(gateway))["data"][0]
    assert (one["status"], one["answer_tokens"]) == (499, None)
    assert 0 < one["ttft_s"] <= one["duration_s"]


async def test_the_end_of_the_gateway_writes_what_waits(start, path):
    gateway = await start(**logging_to(path))
    ids = [(await gateway.chat()).headers["x-thinkgate-decision-id"] for _ in range(3)]
    await gateway.app.decisions.stop()  # as the lifespan does
    with closing(sqlite3.connect(path)) as connection:
        assert [row[0] for row in connection.execute("SELECT id FROM decisions ORDER BY seq")] == ids


def test_other_databases_are_refused_at_the_start_and_no_password_is_repeated():
    data = {
        "pools": {"p": {"model": "m", "replicas": ["http://127.0.0.1:1"]}},
        "routes": {"auto": {"family": "qwen3-hybrid", "pool": "p"}},
        "decisions": {"url": "mysql://user:hunter2@db/thinkgate"},
    }
    with pytest.raises(ConfigError, match=r"decisions\.url: must be sqlite:///FILE.*`mysql://…`") as refused:
        parse_settings(data, {})
    assert "hunter2" not in str(refused.value)
