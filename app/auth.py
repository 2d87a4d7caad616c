"""Who asks: keys to tenants. Knows keys by their hash only; knows no route."""

import hashlib
from collections.abc import Mapping

from app.dataplane.plan import Caller
from app.errors import Unauthorized
from app.settings import Auth


class Authenticator:
    """Checks a request's key. Keys are looked up by SHA-256: the time of a look-up tells nothing about a key."""

    def __init__(self, auth: Auth | None) -> None:
        self._open = auth is None
        self._open_paths = frozenset(auth.open_paths if auth else ())
        self._callers = {
            _digest(key.key.get_secret_value().encode()): Caller(key.tenant, tuple(key.profiles))
            for key in (auth.keys if auth else ())
        }
        self._known: dict[bytes, Caller] = {}
        self._anyone = Caller()

    def caller(self, path: str, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request for the decoded `path`. Raises Unauthorized."""
        if self._open or path in self._open_paths:
            return self._anyone
        given = headers.get(b"authorization", b"")
        known = self._known.get(given)
        if known is not None:
            return known
        scheme, _, token = given.partition(b" ")
        bearer = scheme.lower() == b"bearer"
        key = token.strip() if bearer else headers.get(b"x-api-key", b"").strip()
        if not key:
            raise Unauthorized("A key is required: send `Authorization: Bearer KEY`.")
        caller = self._callers.get(_digest(key))
        if caller is None:
            raise Unauthorized("The key is not valid.")
        if bearer and len(self._known) < 4 * len(self._callers):
            self._known[given] = caller  # spellings of valid keys only: as many as there are keys, or a few more
        return caller


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
