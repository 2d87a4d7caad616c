"""All accounts that a caller's requests are charged to, its key's and its tenant's. Knows accounts, and no request."""

from app.limits.account import Account


class Ledger:
    """What one caller uses. Checks come before counts, so that a request which is refused costs nothing twice."""

    __slots__ = ("accounts",)

    def __init__(self, *accounts: Account) -> None:
        self.accounts = accounts

    def request(self, now_s: float) -> None:
        """A request comes. Raises RateLimited where one account has no more."""
        for account in self.accounts:
            account.check(now_s)
        for account in self.accounts:
            account.count(now_s)

    def begin(self) -> None:
        """It is in flight, until `end`. Raises RateLimited where too many are."""
        for account in self.accounts:
            account.check_room()
        for account in self.accounts:
            account.in_flight += 1

    def end(self) -> None:
        """It has ended."""
        for account in self.accounts:
            account.in_flight -= 1

    def may_think(self, now_s: float) -> bool:
        """Are there thinking tokens left?"""
        return all(account.may_think(now_s) for account in self.accounts)

    def thinking_room(self, now_s: float) -> float:
        """The share of the thinking tokens that is left to the account with the least."""
        return min((account.thinking_room(now_s) for account in self.accounts), default=1.0)

    def check_thinking(self, now_s: float) -> None:
        """Raises RateLimited where there are no thinking tokens left."""
        for account in self.accounts:
            account.check_thinking(now_s)

    def use(self, tokens: int, thinking: int, now_s: float) -> None:
        """A request has used so many tokens in all, and so many of them for thinking."""
        for account in self.accounts:
            account.use(tokens, thinking, now_s)
