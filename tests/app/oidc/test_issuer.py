"""The issuer's keys, fetched from a real server that is not always well."""

from contextlib import asynccontextmanager

import pytest

from app.errors import AuthUnavailable, Unauthorized
from app.oidc import issuer as issuer_module
from app.oidc.issuer import Issuer
from app.oidc.settings import Oidc
from tests.app.conftest import soon
from tests.app.oidc.conftest import section
from tests.app.oidc.issuer_server import SigningKey


@asynccontextmanager
async def running(server, **changes):
    outcomes = []
    issuer = Issuer(Oidc(**section(server, **changes)), outcomes.append)
    issuer.outcomes = outcomes
    issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()


def knows(issuer, kid, algorithm="RS256"):
    try:
        return issuer.key(kid, algorithm) is not None
    except (AuthUnavailable, Unauthorized):
        return False


async def test_keys_are_found_by_the_issuers_own_description(server):
    async with running(server) as issuer:
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
        assert knows(issuer, "ec-1", "ES256")
    assert server.asked == ["/realms/test/.well-known/openid-configuration", "/keys"]
    assert issuer.outcomes == [True]


async def test_or_where_the_configuration_says(server):
    async with running(server, jwks_url=server.jwks_url) as issuer:
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
    assert server.asked == ["/keys"]


async def test_before_any_key_is_known_nobody_can_tell(server):
    issuer = Issuer(Oidc(**section(server)))
    with pytest.raises(AuthUnavailable) as told:
        issuer.key("rsa-1", "RS256")
    assert told.value.status == 503
    assert told.value.retry_after_s == 1


@pytest.mark.usefixtures("quick")
async def test_a_key_that_is_new_is_looked_for(server):
    new = SigningKey("ec-2", "ES256")
    async with running(server) as issuer:
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
        server.keys.append(new.published)
        with pytest.raises(AuthUnavailable):
            issuer.key("ec-2", "ES256")
        assert await soon(lambda: knows(issuer, "ec-2", "ES256"), 30)


@pytest.mark.usefixtures("quick")
async def test_a_key_that_the_issuer_does_not_publish_is_refused_and_may_be_published_later(server):
    late = SigningKey("late", "ES256")

    def refused():
        with pytest.raises((Unauthorized, AuthUnavailable)) as told:
            issuer.key("late", "ES256")
        return told.type is Unauthorized

    async with running(server) as issuer:
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
        assert await soon(refused, 30)
        server.keys.append(late.published)
        assert await soon(lambda: knows(issuer, "late", "ES256"), 30)


async def test_unknown_keys_do_not_make_the_issuer_busy(server, monkeypatch):
    monkeypatch.setattr(issuer_module, "AT_MOST_EVERY_S", 3600)
    async with running(server) as issuer:
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
        for i in range(3000):
            assert not knows(issuer, f"random-{i}")
        assert not await soon(lambda: len(server.asked) > 2, 0.2)
        assert len(issuer._asked) == issuer_module.MOST_UNKNOWN
        with pytest.raises(Unauthorized):
            issuer.key("x" * 257, "RS256")


@pytest.mark.usefixtures("quick")
async def test_a_key_that_is_withdrawn_is_refused_and_that_is_told(server, ec_key):
    told = []
    async with running(server, refresh_s=0.02) as issuer:
        issuer.changed = lambda: told.append(True)
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
        assert told == [True]
        server.keys = [ec_key.published]
        assert await soon(lambda: not knows(issuer, "rsa-1"), 30)
        assert told == [True, True]
        with pytest.raises(Unauthorized):
            issuer.key("rsa-1", "RS256")
        seen = len(server.asked)
        assert await soon(lambda: len(server.asked) > seen + 4, 30)
        assert told == [True, True]  # the same keys again are no change


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["away", "status", "garbage", "empty", "other issuer", "endless"])
async def test_an_issuer_that_is_not_well_leaves_the_keys_as_they_were(server, fault, caplog):
    async with running(server, refresh_s=0.02) as issuer:
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
        if fault == "away":
            await server.stop()
        elif fault == "status":
            server.status = 500
        elif fault == "other issuer":
            server.description = {"issuer": "http://elsewhere", "jwks_uri": server.jwks_url}
        else:
            server.body = {"garbage": b"<html>", "empty": b'{"keys": []}', "endless": b" " * (2 << 20)}[fault]
        assert await soon(lambda: issuer.outcomes[-1] is False and len(issuer.outcomes) > 4, 30)
        assert knows(issuer, "rsa-1")
        with pytest.raises(AuthUnavailable):
            issuer.key("unknown", "RS256")
        assert caplog.text.count("cannot be fetched") == 1
        server.status, server.description, server.body = 200, None, None
        if fault == "away":
            await server.start()
        assert await soon(lambda: "fetched again" in caplog.text, 30)


async def test_a_description_does_not_lead_out_of_tls():
    with pytest.raises(issuer_module.NoKeySet, match="TLS"):
        issuer_module._jwks_url(b'{"issuer": "https://a", "jwks_uri": "http://a/keys"}', "https://a")
    with pytest.raises(issuer_module.NoKeySet, match="TLS"):
        issuer_module._jwks_url(b'{"issuer": "https://a", "jwks_uri": "file:///keys"}', "https://a")
    assert issuer_module._jwks_url(b'{"issuer": "https://a", "jwks_uri": "https://b/k"}', "https://a") == "https://b/k"


async def test_a_stalled_issuer_is_given_up(server, monkeypatch):
    monkeypatch.setattr(issuer_module, "TIMEOUT_S", 0.05)
    server.stalls = True
    async with running(server) as issuer:
        assert await soon(lambda: issuer.outcomes == [False], 30)


async def test_a_reload_keeps_the_keys_of_the_same_issuer(server):
    async with running(server) as issuer:
        assert await soon(lambda: knows(issuer, "rsa-1"), 30)
    same, other = Issuer(Oidc(**section(server, leeway_s=5))), Issuer(Oidc(**section(server, issuer="http://b")))
    same.succeed(issuer)
    other.succeed(issuer)
    assert knows(same, "rsa-1")
    assert not knows(other, "rsa-1")
