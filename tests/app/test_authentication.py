"""Whose key opens what, whatever the spelling of path and header."""

import json

import pytest

from tests.app.answers import AUTH, is_openai_error
from tests.app.conftest import both_ways

GOOD = [{"authorization": "Bearer key-a"}, {"authorization": "bearer  key-a"}, {"x-api-key": "key-a"}]
BAD = [
    {},
    {"authorization": "Bearer wrong"},
    {"authorization": "Bearer"},
    {"authorization": "key-a"},
    {"authorization": "Basic key-a"},
    {"authorization": "Bearer key-a-and-more"},
    {"authorization": "Bearer KEY-A"},
    {"x-api-key": "wrong"},
    {"authorization": "Bearer wrong", "x-api-key": "key-a"},
]


@both_ways
@pytest.mark.parametrize("headers", GOOD, ids=str)
async def test_a_good_key_opens(start, headers):
    gateway = await start(auth=AUTH)
    assert (await gateway.chat(headers)).status_code == 200
    assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", BAD, ids=str)
async def test_a_bad_key_is_401_everywhere_and_no_backend_hears_of_it(start, headers):
    gateway = await start(auth=AUTH)
    for answer in (
        await gateway.chat(headers),
        await gateway.chat(headers, stream=True),
        await gateway.http.get("/v1/models", headers=headers),
        await gateway.http.post("/v1/route", headers=headers, json={}),
        await gateway.http.get("/v1/nothing", headers=headers),
        await gateway.http.get("/openapi.json", headers=headers),
        await gateway.http.get("/version", headers=headers),
    ):
        assert is_openai_error(answer, 401)["type"] == "authentication_error"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert gateway.fast.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/%76%31/models",
        "/v1/%6dodels",
        "//v1/models",
        "/health/../v1/models",
        "/./v1/models",
        "/v1/models/",
        "/V1/models",
        "/v1/models%00",
        "/health%2f..%2fv1/models",
        "/v1/models?x=/health",
        "/metrics/../v1/models",
    ],
)
async def test_no_spelling_of_a_path_gets_round_the_key(start, path):
    gateway = await start(auth=AUTH)
    raw = await gateway.raw()
    await raw.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    status, _, body = await raw.answer()
    assert status == 401
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    await raw.close()


@pytest.mark.parametrize(
    "path",
    ["/%76%31/chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completions?x=/health", "/v1/chat/completions/"],
)
async def test_no_spelling_of_the_chat_path_gets_round_the_key(start, path):
    gateway = await start(auth=AUTH)
    raw = await gateway.raw()
    await raw.ask(None, path=path)
    assert (await raw.answer())[0] == 401
    await raw.close()
    assert gateway.fast.requests == []


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
async def test_operations_stay_open(start, path):
    gateway = await start(auth=AUTH)
    assert (await gateway.http.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("key", "profile", "status"),
    [
        ("key-b", "research", 200),
        ("key-a", "research", 400),
        ("key-b", "other", 400),
        ("key-any", "other", 200),
        ("key-any", "nonsense", 400),
    ],
)
async def test_a_profile_may_be_chosen_only_where_the_key_may(start, key, profile, status):
    gateway = await start(auth=AUTH, profiles={"default": {}, "research": {"mode": "thinking"}, "other": {}})
    answer = await gateway.chat({"authorization": f"Bearer {key}", "x-thinkgate-profile": profile})
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["x-thinkgate-profile"] == profile
