"""Tokens to callers. Knows JWT and claims; knows no request and no route.

A token's signature is checked once: what was found holds until the token expires or the issuer's keys change.
"""

from collections.abc import Callable
from hashlib import sha256
from math import isfinite
from time import time
from typing import Any

import jwt
from jwt.types import Options

from app.dataplane.plan import Caller
from app.errors import Forbidden, Unauthorized
from app.keys.rights import Rights
from app.oidc.issuer import Issuer
from app.oidc.settings import Oidc

MOST_BYTES = 16 * 1024
MOST_KNOWN = 10_000
MOST_TENANT = 128
_OPTIONS: Options = {  # the times are looked at here, by one clock
    "require": ["exp", "iss", "aud"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


class Tokens:
    """`caller_for` makes a caller from an id and rights; `profiles` are the names that a token may name as its own.
    `clock` tells seconds since 1970: what a token says of its time is in no other."""

    def __init__(
        self,
        issuer: Issuer,
        caller_for: Callable[[str, Rights], Caller],
        profiles: frozenset[str],
        clock: Callable[[], float] = time,
    ) -> None:
        self._issuer = issuer
        self._caller_for = caller_for
        self._profiles = profiles
        self._clock = clock
        self._known: dict[bytes, tuple[float, Caller]] = {}
        issuer.changed = self.forget

    def forget(self) -> None:
        """Check every token anew: its key may be no longer the issuer's."""
        self._known = {}

    def caller(self, token: bytes, digest: bytes) -> Caller:
        """The caller who shows the token, whose SHA-256 is `digest`. Raises Unauthorized, Forbidden or
        AuthUnavailable."""
        known = self._known.get(digest)
        if known is not None:
            if self._clock() < known[0]:
                return known[1]
            del self._known[digest]
        claims = self._claims(token)
        expires_s = self._expires_s(claims)
        caller = self._caller(claims)
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = (expires_s, caller)
        return caller

    def _claims(self, token: bytes) -> dict[str, Any]:
        settings = self._issuer.settings
        if len(token) > MOST_BYTES:
            raise Unauthorized("The token is too long.")
        try:
            head = jwt.get_unverified_header(token)
            algorithm, kid = head.get("alg"), head.get("kid")
            if algorithm not in settings.algorithms:
                raise Unauthorized("The token is signed in a way that is not accepted here.")
            key = self._issuer.key(kid, algorithm)
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                options=_OPTIONS,
            )
        except jwt.InvalidAudienceError:
            raise Unauthorized("The token is not for this service.") from None
        except jwt.InvalidIssuerError:
            raise Unauthorized("The token is of another issuer.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Unauthorized(f"The token has no claim `{error.claim}`.") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthorized("The token is not valid.") from None

    def _expires_s(self, claims: dict[str, Any]) -> float:
        """When the token is no longer valid. Raises Unauthorized where that is now, or it is not valid yet."""
        now_s, leeway_s = self._clock(), self._issuer.settings.leeway_s
        expires_s = _time(claims, "exp") + leeway_s
        if now_s >= expires_s:
            raise Unauthorized("The token has expired.")
        for name in ("nbf", "iat"):
            if name in claims and _time(claims, name) - leeway_s > now_s:
                raise Unauthorized("The token is not valid yet.")
        return expires_s

    def _caller(self, claims: dict[str, Any]) -> Caller:
        settings = self._issuer.settings
        changes: dict[str, Any] = {}
        if settings.tenant_claim:
            changes["tenant"] = _tenant(_claim(claims, settings.tenant_claim), settings)
        if settings.profile_claim:
            profile = _claim(claims, settings.profile_claim)
            if profile is not None and not (isinstance(profile, str) and profile in self._profiles):
                raise Forbidden("The token names a profile that is not known here.")
            changes["profile"] = profile or ""
        for right in ("profiles", "routes", "models"):
            if name := getattr(settings, f"{right}_claim"):
                changes[right] = _names(_claim(claims, name), name)
        subject = f"{settings.issuer}\n{claims.get('sub', '')}"
        return self._caller_for(
            "sub_" + sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:12],
            settings.rights.model_copy(update=changes),
        )


def _time(claims: dict[str, Any], name: str) -> float:
    """A claim with seconds since 1970. Raises Unauthorized."""
    value = claims[name]
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise Unauthorized(f"The token's claim `{name}` is no time.")


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or inside others by a name with dots; None where it is not there."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _tenant(value: Any, settings: Oidc) -> str:
    if isinstance(value, str) and value not in ("", "*") and len(value) <= MOST_TENANT and value.isprintable():
        return value
    raise Unauthorized(f"The token has no tenant in its claim `{settings.tenant_claim}`.")


def _names(value: Any, claim: str) -> list[str]:
    if value is None:
        return []
    names = value.split() if isinstance(value, str) else value
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    raise Unauthorized(f"The token's claim `{claim}` is no list of names.")
