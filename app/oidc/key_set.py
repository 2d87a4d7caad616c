"""An issuer's public keys, as it publishes them (JWKS, RFC 7517). Knows keys and algorithms; knows no token."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from jwt import PyJWK
from jwt.exceptions import PyJWTError

MOST_KEYS = 100
LEAST_RSA_BITS = 2048
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")


class NoKeySet(ValueError):
    """What was published holds no key that can be used."""


class KeySet:
    """Keys by their id and the one algorithm that each object verifies, so that a token cannot have a key used in
    another way than it is meant: a public key as an HMAC's secret, above all."""

    def __init__(self, public: Mapping[tuple[str, str], dict[str, str]] | None = None) -> None:
        """`public` are the keys' public parameters. Those that make no key are passed over."""
        self._public = public or {}
        made = ((at, _key(data, at[1])) for at, data in self._public.items())
        self._keys = {at: key for at, key in made if key is not None}
        self.ids = frozenset(kid for kid, _ in self._keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key of that id; where a token names none, the only one for the algorithm."""
        if kid is not None:
            return self._keys.get((kid, algorithm))
        fitting = [key for (_, its), key in self._keys.items() if its == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def same_as(self, other: "KeySet") -> bool:
        """Do both hold the same keys?"""
        return self._public == other._public


def read_key_set(document: bytes, algorithms: Collection[str]) -> KeySet:
    """The keys in the document that verify one of the `algorithms`; others are passed over. Raises NoKeySet."""
    try:
        published = msgspec.json.decode(document)["keys"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        raise NoKeySet("is no key set") from None
    if not isinstance(published, list):
        raise NoKeySet("is no key set")
    public: dict[tuple[str, str], dict[str, str]] = {}
    for i, data in enumerate(published[:MOST_KEYS]):
        if isinstance(data, dict):
            kid = data.get("kid", f"\0{i}")  # without an id: found by tokens that name none
            parts = {name: data[name] for name in _PUBLIC if isinstance(data.get(name), str)}
            if isinstance(kid, str):
                public |= {(kid, algorithm): parts for algorithm in _fitting(data) if algorithm in algorithms}
    keys = KeySet(public)
    if not keys:
        raise NoKeySet("holds no key for the accepted algorithms")
    return keys


def _fitting(data: dict[str, Any]) -> tuple[str, ...]:
    """The algorithms that the key is for. Symmetric keys are for none."""
    if data.get("use", "sig") != "sig":
        return ()
    kind, own = data.get("kty"), data.get("alg")
    if kind == "RSA":
        fitting: tuple[str, ...] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    elif kind in ("EC", "OKP"):
        curve = data.get("crv")
        fitting = (_CURVES[curve],) if isinstance(curve, str) and curve in _CURVES else ()
    else:
        return ()
    return fitting if own is None else tuple(one for one in fitting if one == own)


def _key(public: dict[str, str], algorithm: str) -> PyJWK | None:
    try:
        key = PyJWK(public, algorithm)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return None if public["kty"] == "RSA" and key.key.key_size < LEAST_RSA_BITS else key
