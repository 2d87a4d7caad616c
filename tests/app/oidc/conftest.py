"""Issuers and keys; keys are made once, since an RSA key takes a while."""

from collections.abc import AsyncIterator

import pytest

from app.oidc import issuer as issuer_module
from tests.app.oidc.issuer_server import AUDIENCE, IssuerServer, SigningKey


@pytest.fixture(scope="session")
def rsa_key() -> SigningKey:
    return SigningKey("rsa-1")


@pytest.fixture(scope="session")
def ec_key() -> SigningKey:
    return SigningKey("ec-1", "ES256")


@pytest.fixture
async def server(rsa_key: SigningKey, ec_key: SigningKey) -> AsyncIterator[IssuerServer]:
    server = IssuerServer(rsa_key, ec_key)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown keys are looked for at once, and failures are tried again soon."""
    monkeypatch.setattr(issuer_module, "AT_MOST_EVERY_S", 0.02)
    monkeypatch.setattr(issuer_module, "WORST_WAIT_S", 0.02)


def section(server: IssuerServer, **changes: object) -> dict[str, object]:
    return {"issuer": server.url, "audience": [AUDIENCE], "leeway_s": 0, **changes}
