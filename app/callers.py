"""Which caller each key is: tenant, what it may name, its ledger. Knows keys and settings; knows no request."""

from collections.abc import Iterable

from app.auth import allowed_names
from app.dataplane.plan import Caller
from app.keys.digest import PREFIX, id_of
from app.keys.keyring import Grant
from app.keys.settings import Rights
from app.limits.ledgers import Ledgers
from app.settings import Settings
from router.mode import Mode


def callers_from(grants: Iterable[Grant], settings: Settings, ledgers: Ledgers) -> dict[bytes, Caller]:
    """Callers by the 32 bytes of their keys' digests."""
    return {
        bytes.fromhex(digest.removeprefix(PREFIX)): caller_for(id_of(digest), rights, settings, ledgers)
        for digest, rights in grants
    }


def caller_for(key: str, rights: Rights, settings: Settings, ledgers: Ledgers) -> Caller:
    """The caller with a key of that id and rights."""
    return Caller(
        rights.tenant,
        tuple(rights.profiles),
        rights.profile,
        allowed_names(
            rights.routes,
            rights.models,
            settings.routes,
            {pool.model for pool in settings.pools.values()},
            lambda alias: (alias, *(f"{alias}-{mode.value}" for mode in Mode)),
        ),
        ledgers.ledger(key, rights.limits, rights.tenant, settings.tenants),
        key,
    )


def anyone(settings: Settings, ledgers: Ledgers) -> Caller:
    """The caller where no key is asked for."""
    return Caller(ledger=ledgers.ledger("", Rights().limits, "default", settings.tenants))
