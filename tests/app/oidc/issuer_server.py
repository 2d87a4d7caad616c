"""An issuer for tests: real keys, and a real HTTP server that publishes them."""

import asyncio
import json
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "thinkgate"


class SigningKey:
    """A private key, and how it is published."""

    def __init__(self, kid: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private: Any
        if algorithm.startswith("ES"):
            curve = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[algorithm]
            self.private = ec.generate_private_key(curve())
            public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            self.private = rsa.generate_private_key(65537, bits)
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        self.published = {**public, "kid": kid, "use": "sig", "alg": algorithm}

    def token(self, issuer: str, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of an hour; a claim of None is left out."""
        now_s = int(time())
        all_claims = {"iss": issuer, "aud": AUDIENCE, "sub": "user-1", "iat": now_s, "exp": now_s + 3600, **claims}
        all_claims = {name: value for name, value in all_claims.items() if value is not None}
        return jwt.encode(all_claims, self.private, self.algorithm, {"kid": self.kid, **(head or {})})


class IssuerServer:
    """`keys` is what it publishes now; `status` and `stalls` are for bad days; `asked` are the paths."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = [key.published for key in keys]
        self.body: bytes | None = None
        self.description: dict[str, Any] | None = None
        self.status = 200
        self.stalls = False
        self.asked: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/test"

    @property
    def jwks_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            self.asked.append(path)
            if self.stalls:
                return
            if path == "/keys":
                body = self.body if self.body is not None else json.dumps({"keys": self.keys}).encode()
            elif path == "/realms/test/.well-known/openid-configuration":
                found = self.description or {"issuer": self.url, "jwks_uri": self.jwks_url}
                body = json.dumps(found).encode()
            else:
                raise AssertionError(path)
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (self.status, len(body)))
            writer.write(body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
