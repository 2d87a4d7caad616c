"""Who asks: keys to callers. Knows keys by their hash only; knows no route."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from hmac import compare_digest

from app.dataplane.plan import Caller
from app.errors import Unauthorized


class Authenticator:
    """Checks a request's key.

    Keys are looked up by their SHA-256: the time of a look-up tells nothing about a key. `callers` maps the digests
    (32 bytes) to callers and may be replaced as a whole; without any mapping the gateway is open to `anyone`. What is
    no key, and looks like a token, is given to `token` with its digest, each time: it may have expired.
    """

    def __init__(
        self,
        callers: Mapping[bytes, Caller] | None,
        open_paths: Iterable[str] = (),
        anyone: Caller | None = None,
        token: Callable[[bytes, bytes], Caller] | None = None,
    ) -> None:
        self._open = callers is None
        self._open_paths = frozenset(open_paths)
        self._callers: dict[bytes, tuple[bytes, Caller]] = {}
        self._known: dict[bytes, Caller] = {}
        self._anyone = anyone or Caller()
        self._token = token
        self.replace(callers or {})

    def replace(self, callers: Mapping[bytes, Caller]) -> None:
        """Other keys from now on; what was known of the old ones is forgotten."""
        self._callers = {digest: (digest, caller) for digest, caller in callers.items()}
        self._known = {}

    def caller(self, path: str, headers: Mapping[bytes, bytes]) -> Caller:
        """The caller of a request for the decoded `path`. Raises Unauthorized, and whatever `token` does."""
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
            raise Unauthorized("A key is required: send `Authorization: Bearer KEY`, or `x-api-key`.")
        digest = hashlib.sha256(key).digest()
        found = self._callers.get(digest)
        if found is None or not compare_digest(found[0], digest):
            if self._token is not None and bearer and key.count(b".") == 2:
                return self._token(key, digest)
            raise Unauthorized("The key is not valid.")
        if bearer and len(self._known) < 4 * len(self._callers):
            self._known[given] = found[1]  # spellings of valid keys only: as many as there are keys, or a few more
        return found[1]


def allowed_names(
    routes: Collection[str],
    models: Collection[str] | None,
    known_routes: Iterable[str],
    known_models: Iterable[str],
    aliases: Callable[[str], Iterable[str]],
) -> frozenset[str] | None:
    """The names that a key may put in `model`, None for all. `aliases` gives a route's own names.

    A key for some routes may not go past them by a pool's own model name, unless `models` says so.
    """
    if models is None:
        models = ("*",) if "*" in routes else ()
    if "*" in routes and "*" in models:
        return None
    names = {name for route in known_routes if route in routes or "*" in routes for name in aliases(route)}
    return frozenset(names | {model for model in known_models if model in models or "*" in models})
