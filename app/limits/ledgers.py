"""The accounts of all configured keys and tenants. Knows names; memory is bounded by the configuration."""

from collections.abc import Iterable, Mapping

from app.limits.account import Account
from app.limits.ledger import Ledger
from app.limits.settings import Limits, Tenant
from app.limits.window import Window

_NONE = Limits()
ANY_TENANT = "*"


class Ledgers:
    """Hands out ledgers; what was used survives a change of the limits, and of everything else."""

    def __init__(self, window: type[Window] = Window) -> None:
        self._window = window
        self._accounts: dict[tuple[str, str], Account] = {}
        self._used: set[tuple[str, str]] = set()

    def ledger(self, key: str, limits: Limits, tenant: str, tenants: Mapping[str, Tenant]) -> Ledger | None:
        """The ledger of a key (any name that stays the same) and its tenant; None where neither is limited."""
        known = tenants.get(tenant) or tenants.get(ANY_TENANT)
        wanted = (
            (("key", key), limits),
            (("tenant", tenant), _NONE if known is None else known.limits),
        )
        accounts = [self._account(name, what) for name, what in wanted if what != _NONE]
        return Ledger(*accounts) if accounts else None

    def accounts(self) -> Iterable[tuple[tuple[str, str], Account]]:
        """All accounts, each with its name."""
        return self._accounts.items()

    def forget_unused(self) -> None:
        """Drop the accounts that nobody has asked for since the last call."""
        self._accounts = {name: account for name, account in self._accounts.items() if name in self._used}
        self._used = set()

    def _account(self, name: tuple[str, str], limits: Limits) -> Account:
        self._used.add(name)
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name[0], limits, self._window)
        else:
            account.change(limits)
        return account
