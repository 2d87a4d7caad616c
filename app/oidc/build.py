"""The configured issuer of tokens, where there is one. Knows the configuration; fetches nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.callers import caller_for
from app.config_file import ConfigError
from app.dataplane.plan import Caller
from app.keys.settings import Auth
from app.limits.ledgers import Ledgers
from app.metrics.instruments import Counters
from app.settings import Settings

if TYPE_CHECKING:
    from app.oidc.issuer import Issuer

CheckToken = Callable[[bytes, bytes], Caller]
"""From a token and its SHA-256 to the caller. Raises GatewayError."""


def issuer_for(auth: Auth | None, fetches: Counters) -> "Issuer | None":
    """The issuer whose keys are fetched once it is started; `fetches` counts by outcome. Raises ConfigError."""
    if auth is None or auth.oidc is None:
        return None
    try:
        from app.oidc.issuer import Issuer
    except ImportError as error:
        raise ConfigError("auth.oidc: tokens need a library: pip install 'thinkgate[oidc]'") from error
    try:
        return Issuer(auth.oidc, lambda well: fetches("ok" if well else "failed").inc())
    except OSError as error:
        raise ConfigError(f"auth.oidc.ca: {auth.oidc.ca}: {error.strerror or error}") from error


def token_check(issuer: "Issuer | None", settings: Settings, ledgers: Ledgers) -> CheckToken | None:
    """What makes callers of the issuer's tokens; None where there is no issuer."""
    if issuer is None:
        return None
    from app.oidc.tokens import Tokens

    return Tokens(
        issuer,
        lambda subject, rights: caller_for(subject, rights, settings, ledgers),
        frozenset(("default", *settings.profiles)),
    ).caller
