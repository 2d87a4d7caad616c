"""Tokens at the whole gateway: by the direct lane and by ASGI, with a real issuer beside it."""

import json
from time import time

import pytest

from app.config_file import ConfigError, parse_settings
from app.gateway import create_app
from app.server.cycle import LaneCycle
from tests.app.answers import is_openai_error
from tests.app.conftest import both_ways, soon
from tests.app.oidc.conftest import section
from tests.app.oidc.issuer_server import SigningKey


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def auth(server, **changes):
    return {"keys": [{"key": "key-a", "tenant": "a"}], "oidc": section(server, **changes)}


async def ready(gateway):
    assert await soon(lambda: gateway.app._keyring.issuer._keys, 30)
    return gateway


@both_ways
async def test_a_token_opens_beside_keys(start, server, rsa_key, ec_key):
    gateway = await ready(await start(auth=auth(server)))
    for key in (rsa_key, ec_key):
        headers = bearer(key.token(server.url))
        for _ in range(2):
            assert (await gateway.chat(headers)).status_code == 200
        assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 200
    assert (await gateway.chat(bearer("key-a"))).status_code == 200
    assert await gateway.metric("thinkgate_oidc_fetches_total", outcome="ok") == 1


@both_ways
async def test_a_bad_token_is_401_everywhere_and_told_nowhere(start, server, rsa_key, caplog):
    caplog.set_level("DEBUG")
    gateway = await ready(await start(auth=auth(server)))
    good = rsa_key.token(server.url)
    for token in (
        rsa_key.token(server.url, exp=1000),
        rsa_key.token(server.url, aud="other"),
        rsa_key.token("http://other"),
        SigningKey("rsa-1").token(server.url),
        good[:-8] + "AAAAAAAA",
        good.rpartition(".")[0] + ".",
        "a.b.c",
    ):
        for answer in (
            await gateway.chat(bearer(token)),
            await gateway.chat(bearer(token), stream=True),
            await gateway.http.get("/v1/models", headers=bearer(token)),
            await gateway.post("/v1/route", {}, bearer(token)),
        ):
            assert is_openai_error(answer, 401)["code"] == "invalid_api_key"
            assert token not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
        assert token not in caplog.text
    assert (await gateway.http.post("/v1/chat/completions", headers={"x-api-key": good}, json={})).status_code == 401
    assert gateway.fast.requests == []


async def test_no_head_that_was_read_before_lets_an_expired_token_in(start, server, rsa_key, monkeypatch):
    ways = []
    serve = LaneCycle.serve
    monkeypatch.setattr(LaneCycle, "serve", lambda self, body: ways.append("known") or serve(self, body))
    gateway = await ready(await start(auth=auth(server)))
    begun_s, raw = time(), await gateway.raw()
    past = [0.0]
    gateway.app._auth._token.__self__._clock = lambda: begun_s + past[0]
    line = f"authorization: Bearer {rsa_key.token(server.url, iat=None, exp=begun_s + 3600)}"
    statuses = []
    for past[0] in (0, 1, 3599, 3600, 7200):
        await raw.ask(None, line)
        statuses.append((await raw.answer())[0])
    assert statuses == [200, 200, 200, 401, 401]
    assert ways == ["known"] * 4  # all but the first went past the parser
    await raw.close()


@both_ways
async def test_a_tenant_has_its_limits_whichever_token_it_shows(start, server, rsa_key):
    limits = {"acme": {"limits": {"requests_per_minute": 2}}}
    gateway = await ready(await start(auth=auth(server, tenant_claim="org"), tenants=limits))
    tokens = [rsa_key.token(server.url, org="acme", sub=f"user-{i}") for i in range(3)]
    assert [(await gateway.chat(bearer(token))).status_code for token in tokens] == [200, 200, 429]
    assert (await gateway.chat(bearer(rsa_key.token(server.url, org="other")))).status_code == 200


async def test_a_token_may_name_its_own_routes_only(start, server, rsa_key):
    gateway = await ready(await start(auth=auth(server, routes_claim="scope", profiles_claim="profiles")))
    assert (await gateway.chat(bearer(rsa_key.token(server.url, scope="auto")))).status_code == 200
    nothing = bearer(rsa_key.token(server.url, scope="openid"))
    assert is_openai_error(await gateway.chat(nothing), 403)["code"] == "not_allowed"
    assert (await gateway.http.get("/v1/models", headers=nothing)).json()["data"] == []
    chosen = {**bearer(rsa_key.token(server.url, scope="auto")), "x-thinkgate-profile": "default"}
    assert (await gateway.chat(chosen)).status_code == 400


@both_ways
@pytest.mark.parametrize("fault", ["away", "garbage"])
async def test_an_issuer_that_cannot_be_reached_opens_no_door(start, server, rsa_key, fault):
    if fault == "away":
        await server.stop()
    else:
        server.body = b"no keys"
    gateway = await start(auth=auth(server))
    answer = await gateway.chat(bearer(rsa_key.token(server.url)))
    assert is_openai_error(answer, 503)["code"] == "auth_unavailable"
    assert int(answer.headers["retry-after"]) >= 1
    assert (await gateway.chat(bearer("key-a"))).status_code == 200  # keys do not need it
    assert (await gateway.chat()).status_code == 401
    assert await soon(lambda: gateway.app.meters.oidc_fetches("failed").value >= 1, 30)


@pytest.mark.usefixtures("quick")
async def test_known_keys_outlive_the_issuer_and_new_ones_come_with_it(start, server, rsa_key):
    gateway = await ready(await start(auth=auth(server, refresh_s=0.02)))
    await server.stop()
    assert await soon(lambda: gateway.app.meters.oidc_fetches("failed").value >= 1, 30)
    assert (await gateway.chat(bearer(rsa_key.token(server.url)))).status_code == 200
    new = SigningKey("ec-2", "ES256")
    assert (await gateway.chat(bearer(new.token(server.url)))).status_code == 503
    server.keys = [new.published]
    await server.start()

    async def status(key):
        return (await gateway.chat(bearer(key.token(server.url)))).status_code

    assert await soon(lambda: "ec-2" in gateway.app._keyring.issuer._keys.ids, 30)
    assert await status(new) == 200
    assert await status(rsa_key) == 401  # withdrawn


async def test_a_reload_does_not_close_the_door_for_a_moment(start, server, rsa_key):
    limits = {"acme": {"limits": {"requests_per_minute": 2}}}
    gateway = await ready(await start(auth=auth(server, tenant_claim="org"), tenants=limits))
    token = bearer(rsa_key.token(server.url, org="acme"))
    assert (await gateway.chat(token)).status_code == 200
    settings = gateway.app.settings
    oidc = settings.auth.oidc.model_copy(update={"leeway_s": 3.0})
    changed = settings.model_copy(update={"auth": settings.auth.model_copy(update={"oidc": oidc})})
    gateway.app.apply(changed, gateway.app.router.judge)
    assert [(await gateway.chat(token)).status_code for _ in range(2)] == [200, 429]  # what was used stays used
    gateway.app.apply(settings.model_copy(update={"auth": settings.auth.model_copy(update={"oidc": None})}),
                      gateway.app.router.judge)  # fmt: skip
    assert (await gateway.chat(token)).status_code == 401


async def test_only_the_alphabet_of_a_token_is_taken_for_one(start, server):
    gateway = await ready(await start(auth=auth(server)))
    raw = await gateway.raw()
    await raw.ask(None, "authorization: Bearer \xff.\xfe.\xfd")
    status, _, body = await raw.answer()
    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
    await raw.close()


def configured(**oidc):
    return parse_settings(
        {
            "auth": {"oidc": {"issuer": "https://a", "audience": ["x"], **oidc}},
            "pools": {name: {"model": name, "replicas": ["http://127.0.0.1:1"]} for name in ("fast", "deep")},
            "routes": {"auto": {"instruct": "fast", "thinking": "deep"}},
        },
        {},
    )


@pytest.mark.parametrize(
    ("oidc", "says"),
    [
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"audience": []}, "audience"),
        ({"audience": [" "]}, "audience"),
        ({"issuer": ""}, "issuer"),
        ({"issuer": "login.example.com"}, "issuer"),
        ({"jwks_url": "file:///etc/passwd"}, "jwks_url"),
        ({"rights": {"routes": ["nothing"]}}, "auth.oidc.rights.routes"),
        ({"rights": {"profile": "nothing"}}, "auth.oidc.rights.profile"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_told_at_the_start(oidc, says):
    with pytest.raises(ConfigError, match=says):
        configured(**oidc)


def test_authorities_that_cannot_be_read_are_told_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"auth\.oidc\.ca"):
        create_app(configured(ca=str(tmp_path / "none.pem")))


def test_tokens_alone_are_enough():
    assert configured().auth.oidc is not None
