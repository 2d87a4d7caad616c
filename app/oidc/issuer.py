"""The issuer's keys, fetched in the background and kept. Knows HTTP and time; knows no token's content.

No request waits for the issuer: a key is known, or the request is answered without it.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from math import ceil
from time import monotonic
from urllib.parse import urlsplit

import httpx
import msgspec
from jwt import PyJWK

from app.errors import AuthUnavailable, Unauthorized
from app.oidc.key_set import KeySet, NoKeySet, read_key_set
from app.oidc.settings import Oidc

log = logging.getLogger("thinkgate.oidc")
AT_MOST_EVERY_S = 5.0
"""However many unknown keys tokens name, the issuer is asked no more often."""
TIMEOUT_S = 10.0
WORST_WAIT_S = 30.0
MOST_BYTES = 1 << 20
MOST_UNKNOWN = 1000
MOST_ID = 256
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading the system's certificates for plain HTTP costs 20 ms


class Issuer:
    """`changed` is called when other keys are known than before; `fetched` after each fetch, with its success. What
    cannot be fetched leaves the keys as they were."""

    def __init__(self, settings: Oidc, fetched: Callable[[bool], None] = lambda _: None) -> None:
        """Raises OSError for authorities that cannot be read."""
        self.settings = settings
        self.changed: Callable[[], None] = lambda: None
        self._fetched = fetched
        self._keys = KeySet()
        self._asked: set[str] = set()
        self._absent: set[str] = set()
        self._wanted = asyncio.Event()
        self._began_s = float("-inf")
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        urls = (settings.issuer, settings.jwks_url)
        encrypted = any(url.startswith("https:") for url in urls)
        self._tls = ssl.create_default_context(cafile=settings.ca or None) if encrypted else _NO_TLS

    def key(self, kid: str | None, algorithm: str) -> PyJWK:
        """The key that a token names. Raises Unauthorized where there is none, AuthUnavailable where nobody can tell
        yet."""
        found = self._keys.find(kid, algorithm)
        if found is not None:
            return found
        name = "" if kid is None else kid
        if name in self._keys.ids or len(name) > MOST_ID or (kid is None and self._keys):
            raise Unauthorized("The token is signed in a way that its key is not for.")
        if name in self._absent:
            self._wanted.set()
            raise Unauthorized("The token is signed with a key that its issuer does not publish.")
        if len(self._asked) < MOST_UNKNOWN:
            self._asked.add(name)
        self._wanted.set()
        wait_s = max(1, ceil(self._began_s + AT_MOST_EVERY_S - monotonic())) if self._began_s > 0 else 1
        raise AuthUnavailable(
            "Tokens cannot be checked now: the key that this one names is not known yet.", retry_after_s=wait_s
        )

    def succeed(self, old: "Issuer") -> None:
        """Go on, after a reload, with what the old one knows of the same issuer."""
        mine, its = self.settings, old.settings
        if (mine.issuer, mine.jwks_url, mine.algorithms) == (its.issuer, its.jwks_url, its.algorithms):
            self._keys = old._keys

    def start(self) -> None:
        """Begin to fetch."""
        self._task = asyncio.create_task(self._fetch_forever(), name="issuer's keys")

    async def stop(self) -> None:
        """Fetch no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _fetch_forever(self) -> None:
        async with httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT_S, trust_env=False) as client:
            while True:
                await self._fetch_once(client)
                if self._failures:
                    await asyncio.sleep(min(WORST_WAIT_S, 2.0 ** min(self._failures, 10) / 2))
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.settings.refresh_s):
                        await self._wanted.wait()
                await asyncio.sleep(max(0.0, self._began_s + AT_MOST_EVERY_S - monotonic()))

    async def _fetch_once(self, client: httpx.AsyncClient) -> None:
        self._began_s = monotonic()
        self._wanted.clear()
        asked = frozenset(self._asked)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                keys = await self._fetch(client)
        except Exception as error:  # whatever it is, it must not end the fetching
            self._failures += 1
            if self._failures == 1:
                log.warning(
                    "auth.oidc: the issuer's keys cannot be fetched (%s); %s",
                    error if isinstance(error, NoKeySet) else type(error).__name__,
                    "those that are known go on" if self._keys else "no token can be checked",
                )
            self._fetched(False)
            return
        if self._failures:
            self._failures = 0
            log.warning("auth.oidc: the issuer's keys are fetched again")
        self._use(keys, asked)
        self._fetched(True)

    def _use(self, keys: KeySet, asked: frozenset[str]) -> None:
        old, self._keys = self._keys, keys
        self._asked -= asked
        absent = (asked | old.ids | self._absent) - keys.ids
        self._absent = set(list(absent)[:MOST_UNKNOWN])
        if not keys.same_as(old):
            self.changed()

    async def _fetch(self, client: httpx.AsyncClient) -> KeySet:
        settings = self.settings
        url = settings.jwks_url
        if not url:
            found = await _get(client, settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
            url = _jwks_url(found, settings.issuer)
        return read_key_set(await _get(client, url), settings.algorithms)


async def _get(client: httpx.AsyncClient, url: str) -> bytes:
    body = b""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as answer:
        if answer.status_code != 200:
            raise NoKeySet(f"the status is {answer.status_code}")
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise NoKeySet("the answer is too large")
    return body


def _jwks_url(document: bytes, issuer: str) -> str:
    """Where the issuer's own description says that its keys are. Raises NoKeySet."""
    try:
        found = msgspec.json.decode(document)
        named, url = found["issuer"], found["jwks_uri"]
        scheme = urlsplit(url).scheme
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, ValueError, AttributeError):
        raise NoKeySet("its description is none") from None
    if named != issuer:
        raise NoKeySet("its description is of another issuer")
    if scheme != "https" and not (scheme == "http" and issuer.startswith("http:")):
        raise NoKeySet("its description leads out of TLS")
    return str(url)
