"""Keys, rights and limits, asked through the real gateway."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from app.keys import keyring
from app.keys.digest import digest_of
from app.keys.file import StoredKey, write_keys
from tests.app.conftest import both_ways, soon
from tests.app.scripted_upstream import stream, whole


def bearer(key):
    return {"authorization": f"Bearer {key}"}


# ---------------------------------------------------------------------------------------- keys


@both_ways
async def test_a_hashed_key_opens_and_its_digest_does_not(start):
    digest = digest_of(b"secret")
    gateway = await start(auth={"keys": [{"key": digest}]})
    assert (await gateway.chat(bearer("secret"))).status_code == 200
    assert (await gateway.chat({"x-api-key": "secret"})).status_code == 200
    for wrong in (digest, digest.removeprefix("sha256:"), "Secret", "secret2", "secre"):
        assert (await gateway.chat(bearer(wrong))).status_code == 401


@both_ways
async def test_a_key_created_while_the_gateway_runs_opens_and_a_revoked_one_no_longer_does(
    start, tmp_path, monkeypatch
):
    monkeypatch.setattr(keyring, "POLL_S", 0.01)
    path = tmp_path / "keys.json"
    old, new = (StoredKey(digest=digest_of(k), created=datetime.now(UTC)) for k in (b"old", b"new"))
    write_keys(path, [old])
    gateway = await start(auth={"keys_file": str(path)})
    assert (await gateway.chat(bearer("old"))).status_code == 200
    assert (await gateway.chat(bearer("new"))).status_code == 401
    write_keys(path, [old, new])

    async def becomes(key, status):
        for _ in range(500):
            if (await gateway.chat(bearer(key))).status_code == status:
                return True
            await asyncio.sleep(0.01)
        return False

    assert await becomes("new", 200)
    assert (await gateway.chat(bearer("old"))).status_code == 200, "rotation: both are valid"
    write_keys(path, [new])
    assert await becomes("old", 401)
    assert (await gateway.chat(bearer("new"))).status_code == 200


async def test_a_key_for_some_routes_may_name_nothing_else(start):
    keys = [
        {"key": "any"},
        {"key": "some", "routes": ["auto"]},
        {"key": "direct", "routes": [], "models": ["instruct"]},
    ]
    routes = {"other": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}}
    gateway = await start(auth={"keys": keys}, routes=routes)
    allowed = {
        "any": {"auto", "auto-instruct", "auto-thinking", "other", "other-thinking", "instruct", "thinking"},
        "some": {"auto", "auto-instruct", "auto-thinking"},
        "direct": {"instruct"},
    }
    for key, names in allowed.items():
        for name in sorted(allowed["any"]):
            answer = await gateway.chat(bearer(key), model=name)
            assert answer.status_code == (200 if name in names else 403), (key, name)
            if answer.status_code == 403:
                assert answer.json()["error"]["code"] == "not_allowed"
                assert answer.json()["error"]["param"] == "model"
        listed = {m["id"] for m in (await gateway.http.get("/v1/models", headers=bearer(key))).json()["data"]}
        assert names <= listed
        assert listed <= names | {"other-instruct"}
        assert (await gateway.http.get("/v1/models/other", headers=bearer(key))).status_code == (
            200 if "other" in names else 404
        )
        answer = await gateway.chat(bearer(key), model="nothing")
        assert answer.status_code == 404
        assert "other" in answer.json()["error"]["message"] or "other" not in names
        assert key == "any" or "other" not in answer.json()["error"]["message"], "names it may not use are not told"
    dry = await gateway.http.post(
        "/v1/route", json={"model": "other", "messages": [{"role": "user", "content": "x"}]}, headers=bearer("some")
    )
    assert dry.status_code == 403


async def test_a_key_may_have_a_profile_of_its_own(start):
    keys = [{"key": "a", "profile": "deep", "profiles": ["default"]}, {"key": "b"}]
    gateway = await start(auth={"keys": keys}, profiles={"deep": {"mode": "thinking"}})
    assert (await gateway.chat(bearer("a"))).headers["x-thinkgate-mode"] == "thinking"
    assert (await gateway.chat(bearer("b"))).headers["x-thinkgate-mode"] == "instruct"
    answer = await gateway.chat({**bearer("a"), "x-thinkgate-profile": "default"})
    assert answer.headers["x-thinkgate-mode"] == "instruct", "the header counts first, where the key may send it"


# ---------------------------------------------------------------------------------------- limits


@both_ways
async def test_requests_over_the_limit_get_429_and_when_to_come_back(start):
    keys = [{"key": "a", "limits": {"requests_per_minute": 3}}, {"key": "b"}]
    gateway = await start(auth={"keys": keys})
    statuses = [(await gateway.chat(bearer("a"))).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert await gateway.metric("thinkgate_shed_total", cause="limit") == 2
    answer = await gateway.chat(bearer("a"), stream=True)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    assert len(gateway.fast.requests) == 3
    assert (await gateway.chat(bearer("b"))).status_code == 200
    assert (await gateway.http.get("/v1/models", headers=bearer("a"))).status_code == 200


async def test_bad_requests_count_too(start):
    gateway = await start(auth={"keys": [{"key": "a", "limits": {"requests_per_minute": 2}}]})
    for _ in range(2):
        assert (await gateway.chat(bearer("a"), model="nothing")).status_code == 404
    assert (await gateway.chat(bearer("a"))).status_code == 429


@pytest.mark.parametrize("ends", ["whole", "gone", "bad", "unknown"])
async def test_requests_at_once_are_counted_back_however_they_end(start, ends):
    gateway = await start(auth={"keys": [{"key": "a"}]}, tenants={"default": {"limits": {"concurrent": 2}}})
    go = asyncio.Event()

    async def waits(turn):
        await go.wait()
        return await whole()(turn)

    gateway.fast.default = waits
    raws = [await gateway.raw() for _ in range(2)]
    for raw in raws:
        await raw.ask(None, "authorization: Bearer a")
    assert await soon(lambda: len(gateway.fast.requests) == 2, 10)
    answer = await gateway.chat(bearer("a"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "tenant" in answer.json()["error"]["message"]
    if ends == "gone":
        for raw in raws:
            raw.vanish()
        await gateway.idle()
        go.set()
    else:
        go.set()
        for raw in raws:
            assert (await raw.answer())[0] == 200
    if ends == "bad":
        for _ in range(5):
            await gateway.http.post("/v1/chat/completions", content=b"{", headers=bearer("a"))
    if ends == "unknown":
        for _ in range(5):
            await gateway.chat(bearer("a"), model="nothing")
    for _ in range(3):
        assert (await gateway.chat(bearer("a"))).status_code == 200
    for raw in raws:
        await raw.close()


@pytest.mark.parametrize("streaming", [False, True])
async def test_tokens_are_counted_from_what_the_backend_says(start, streaming):
    gateway = await start(auth={"keys": [{"key": "a", "limits": {"tokens_per_minute": 20}}]})
    answer = await gateway.chat(bearer("a"), stream=streaming)
    assert answer.status_code == 200
    for _ in range(5):
        answer = await gateway.chat(bearer("a"), stream=streaming)
    assert answer.status_code == 429
    assert "20 tokens per minute" in answer.json()["error"]["message"]


async def test_leaving_before_the_usage_chunk_is_no_way_round(start):
    gateway = await start(auth={"keys": [{"key": "a", "limits": {"tokens_per_hour": 60}}]})
    gateway.fast.default = stream("chat_instruct_stream_usage", pause_s=0.02, keep=False)
    refused = False
    for _ in range(10):
        raw = await gateway.raw()
        await raw.ask(None, "authorization: Bearer a", stream=True)
        if b" 429 " in await raw.until(b"\r\n\r\n"):
            refused = True
            await raw.close()
            break
        await raw.until(b"\n\n")
        raw.vanish()
        await gateway.idle()
    assert refused


async def test_without_thinking_tokens_the_judge_may_no_longer_choose_thinking(start):
    limits = {"thinking_tokens_per_hour": 1}
    gateway = await start(score=0.9, auth={"keys": [{"key": "a", "limits": limits}, {"key": "b"}]})
    gateway.deep.default = stream("trained_thinking_stream")
    first = await gateway.chat(bearer("a"), stream=True)
    assert first.headers["x-thinkgate-mode"] == "thinking"
    second = await gateway.chat(bearer("a"))
    assert (second.headers["x-thinkgate-mode"], second.headers["x-thinkgate-reason"]) == ("instruct", "budget")
    assert second.json()["routing"]["because"] == "the thinking tokens are used up"
    forced = await gateway.chat(bearer("a"), model="auto-thinking")
    assert forced.status_code == 429
    assert "thinking tokens per hour" in forced.json()["error"]["message"]
    assert (await gateway.chat(bearer("a"), model="auto-instruct")).status_code == 200
    assert (await gateway.chat(bearer("b"), stream=True)).headers["x-thinkgate-mode"] == "thinking"
    labels = {"api": "chat", "mode": "thinking", "reason": "client_model", "status": "429"}
    assert await gateway.metric("thinkgate_requests_total", **labels) == 1


async def test_a_flood_of_one_tenant_is_refused_and_the_other_is_served(start):
    keys = [{"key": "flood", "tenant": "f"}, {"key": "small", "tenant": "s"}]
    gateway = await start(auth={"keys": keys}, tenants={"*": {"limits": {"requests_per_minute": 30}}})
    answers = await asyncio.gather(
        *(gateway.chat(bearer("flood")) for _ in range(300)), *(gateway.chat(bearer("small")) for _ in range(20))
    )
    flood, small = ([a.status_code for a in part] for part in (answers[:300], answers[300:]))
    assert flood.count(200) == 30
    assert flood.count(429) == 270
    assert set(small) == {200}


# ---------------------------------------------------------------------------------------- nothing gets past


async def test_a_thousand_odd_requests_get_past_neither_key_nor_limit(start):
    gateway = await start(auth={"keys": [{"key": "good", "limits": {"requests_per_minute": 5}}]})
    seed = random.Random(20261124)
    paths = ["/v1/chat/completions", "/%76%31/chat/completions", "/v1//chat/completions", "/v1/./chat/completions"]
    paths += ["/v1/chat/completions/", "/V1/chat/completions", "/v1/models", "/%2e%2e/v1/models", "//v1/models"]
    paths += ["/v1/decisions", "/docs", "/openapi.json", "/health/../v1/models", "/metrics/../v1/models", "/health%2f"]
    methods = ["POST", "GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"]
    headers = [
        [],
        ["authorization: Bearer"],
        ["authorization: Bearer bad"],
        ["authorization: Basic Z29vZA=="],
        ["authorization: bearer  "],
        ["x-api-key: bad"],
        ["x-api-key:"],
        ["authorization: Bearer bad", "x-api-key: good2"],
        ["x-forwarded-user: admin", "x-original-url: /health"],
        ["cookie: key=good"],
        ["proxy-authorization: Bearer good"],
    ]
    body = b'{"model":"auto","messages":[{"role":"user","content":"x"}]}'
    for _ in range(1000):
        raw = await gateway.raw()
        method, path, extra = seed.choice(methods), seed.choice(paths), seed.choice(headers)
        query = seed.choice(["", "?x=1", "?api_key=good", "?path=/health"])
        lines = [f"{method} {path}{query} HTTP/1.1", "host: x", "connection: close", *extra]
        lines.append(f"content-length: {len(body)}")
        await raw.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        status = int((await asyncio.wait_for(raw.reader.readline(), 30)).split()[1])
        assert status in (401, 404, 405) or path.startswith("/health%"), (method, path, extra, status)
        await raw.close()
    assert gateway.fast.requests == gateway.deep.requests == []
    spellings = ["Bearer good", "bearer good", "BEARER  good", "Bearer   good"]
    statuses = []
    for i in range(40):
        way = {"authorization": spellings[i % 4]} if i % 5 else {"x-api-key": "good"}
        path = paths[i % 2]
        statuses.append(
            (await gateway.http.post(path, content=body, headers={**way, "x-request-id": str(i)})).status_code
        )
    assert statuses.count(200) == 5
    assert set(statuses) == {200, 429}
