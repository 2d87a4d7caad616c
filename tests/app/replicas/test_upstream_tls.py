"""TLS towards replicas."""

import ssl

import pytest

from tests.app.certificates import make_certificates
from tests.app.replicas.holding import NO_FALLBACK
from tests.app.scripted_upstream import ScriptedUpstream


@pytest.fixture
async def secure(tmp_path):
    """A TLS backend for `replica.test`, and its authority's file."""
    ca, cert, key = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    upstream = ScriptedUpstream()
    await upstream.start(context)
    yield upstream, ca
    await upstream.stop()


async def test_replicas_behind_tls_are_reached_with_the_operators_authority(start, secure):
    upstream, ca = secure
    tls = {"ca": str(ca), "server_name": "replica.test"}
    url = f"https://127.0.0.1:{upstream.port}"
    pools = {"fast": {"model": "instruct", "replicas": [url], "tls": tls, "api_key": "inner"}}
    gateway = await start(pools=pools, profiles=NO_FALLBACK, own_transport=False)
    health = (await gateway.http.get("/health")).json()
    assert health["pools"]["fast"]["up"], "health checks speak TLS too"
    assert (await gateway.chat()).status_code == 200
    assert (await gateway.chat(stream=True)).content.endswith(b"data: [DONE]\n\n")
    assert upstream.requests[0].headers["authorization"] == "Bearer inner"
    assert upstream.connections == 1


@pytest.mark.parametrize("tls", [{"server_name": "replica.test"}, {"ca": "own"}], ids=["other authority", "other name"])
async def test_a_certificate_that_proves_nothing_is_refused(start, secure, tls):
    upstream, ca = secure
    tls = {k: str(ca) if v == "own" else v for k, v in tls.items()}
    url = f"https://127.0.0.1:{upstream.port}"
    pools = {"fast": {"model": "instruct", "replicas": [url], "tls": tls}} if tls else {}
    gateway = await start(pools=pools, profiles=NO_FALLBACK, own_transport=False)
    assert not (await gateway.http.get("/health")).json()["pools"]["fast"]["up"]
    answer = await gateway.chat()
    assert answer.status_code == 503
    assert upstream.requests == []


async def test_a_certificate_file_that_cannot_be_read_is_an_error_of_the_configuration(start):
    pools = {"fast": {"model": "m", "replicas": ["https://x"], "tls": {"ca": "/no/such.pem"}}}
    with pytest.raises(Exception, match=r"pools.fast.tls.ca: /no/such.pem"):
        await start(pools=pools)
