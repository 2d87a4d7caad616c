"""A pool: replicas that serve one model, and which of them is next. Knows load and health; knows no request."""

import ssl
import time
from collections.abc import Collection, Iterable, Sequence

import msgspec

from app.pools.choice import Choice
from app.pools.places import Places
from app.pools.replica import Replica
from app.pools.retry_budget import RetryBudget
from app.pools.settings import Health, Retries, Timeouts
from app.pools.settings import Pool as PoolSettings
from app.pools.tls import context_for

_HEALTH, _RETRIES = Health(), Retries()


class Pool:
    """`places` is None where the pool has no limit. Raises OSError for certificates that cannot be read."""

    def __init__(
        self,
        name: str,
        settings: PoolSettings,
        timeouts: Timeouts,
        seed: int | None = None,
        *,
        health: Health = _HEALTH,
        retries: Retries = _RETRIES,
    ) -> None:
        self.name = name
        self.model = settings.model
        self.model_json = msgspec.Raw(msgspec.json.encode(settings.model))
        self.takes_budgets = True
        """False once a replica has answered that it knows no thinking budgets."""
        self.gives_logprobs = True
        """False once a replica has refused to tell log-probabilities."""
        self.settings = settings
        self.tls: ssl.SSLContext | None = context_for(settings)
        self.retry_budget = RetryBudget(retries, time.monotonic())
        self.queue_timeout_s = settings.queue_timeout_s
        self._timeouts = timeouts
        self._health = health
        self._retries = retries
        self._max_connections = settings.max_connections
        self._choice = Choice(seed)
        self._leaving: list[Replica] = []
        self.replicas: list[Replica] = [self._make(url, "", i) for i, url in enumerate(settings.replicas)]
        limited = settings.max_in_flight is not None or settings.max_connections is not None
        self.places = Places(name, self._capacity, settings.queue_size) if limited else None

    @property
    def up(self) -> bool:
        """Can any replica be reached?"""
        return any(replica.up for replica in self.replicas)

    @property
    def in_flight(self) -> int:
        """Requests that have not ended, those at replicas that are leaving included."""
        return sum(replica.in_flight for replica in self.replicas) + sum(replica.in_flight for replica in self._leaving)

    @property
    def watched(self) -> list[Replica]:
        """Whose health counts: the replicas, and those that are leaving but have requests yet."""
        return self.replicas + [replica for replica in self._leaving if replica.in_flight]

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return 0 if self.places is None else self.places.waiting

    def choose(self, tried: Collection[Replica] = (), affinity: int = 0) -> Replica | None:
        """The next replica, leaving out those already `tried`. One that is down or left alone only where no other is
        left, one that has all the connections it may have never. `affinity` is a hash of the session, 0 for none."""
        if not tried:
            self.retry_budget.requests += 1  # a retry earns no other
        replicas = self.replicas
        if len(replicas) == 1 and self._max_connections is None:
            return None if replicas[0] in tried else replicas[0]
        candidates: Sequence[Replica] = [r for r in replicas if r.well]
        if len(candidates) < len(replicas) or tried or self._max_connections is not None:
            left = [r for r in replicas if r not in tried]
            if self._max_connections is not None:
                left = [r for r in left if r.in_flight < self._max_connections]
            now_s = time.monotonic()
            for replica in left:
                if replica.may_try(now_s):
                    replica.trying(now_s)
                    return replica
            candidates = [r for r in left if r.well] or [r for r in left if r.up] or left
            if not candidates:
                return None
        return self._choice.of(candidates, affinity)

    # ------------------------------------------------------------------ replicas come and go

    def resolved(self, addresses: Iterable[tuple[str, str]]) -> bool:
        """Take (URL, IP address) pairs as the replicas from now on; those that stay keep what is known of them.

        Whether anything has changed.
        """
        wanted = list(dict.fromkeys(addresses))
        known = {replica.name: replica for replica in self.replicas}
        names = {url if not address else f"{url} ({address})": (url, address) for url, address in wanted}
        if not names or names.keys() == known.keys():
            return False
        kept = [replica for name, replica in known.items() if name in names]
        taken = {replica.place for replica in kept}
        free = (i for i in range(len(names) + len(kept)) if i not in taken)
        added = [self._make(url, address, next(free)) for name, (url, address) in names.items() if name not in known]
        self._retire(replica for name, replica in known.items() if name not in names)
        self.replicas = kept + added
        self.capacity_changed()
        return True

    def succeed(self, old: "Pool") -> None:
        """Take over from a pool of the same name after a reload: replicas with what is known of them, and the queue."""
        same = (
            old.settings.api_key == self.settings.api_key
            and old.settings.tls == self.settings.tls
            and old._timeouts == self._timeouts
            and old._health == self._health
        )
        known = {replica.name: replica for replica in old.replicas} if same else {}
        if same and self.settings.resolve_s and self.settings.replicas == old.settings.replicas:
            self.replicas = list(old.replicas)  # the next look-up tells more
        else:
            self.replicas = [known.get(replica.name, replica) for replica in self.replicas]
        for i, replica in enumerate(self.replicas):
            replica.place = i
        kept = set(self.replicas)
        before, old.replicas = old.replicas, self.replicas  # for requests that began by the old configuration
        self._leaving = [replica for replica in old._leaving if replica.in_flight]
        self._retire(replica for replica in before if replica not in kept)
        if old._retries == self._retries:
            self.retry_budget = old.retry_budget
        if old.places is not None:
            if self.places is None:
                old.places.resize(lambda: 2**31, 0)  # without a limit from now on: all that wait may go
            else:
                old.places.resize(self._capacity, self.settings.queue_size)
                self.places = old.places

    def retire(self) -> None:
        """It is no longer configured: what is in flight, or waits, ends in peace."""
        for replica in self.replicas:
            replica.retire()

    def capacity_changed(self) -> None:
        """Replicas have come, gone, or changed their state: perhaps there are more places now."""
        if self.places is not None:
            self.places.fill()

    def close(self) -> None:
        """Close the idle connections of all replicas."""
        for replica in self.replicas:
            replica.close()

    def _retire(self, replicas: Iterable[Replica]) -> None:
        for replica in replicas:
            replica.retire()
            self._leaving.append(replica)
        self._leaving = [replica for replica in self._leaving if replica.in_flight]

    def _make(self, url: str, address: str, place: int) -> Replica:
        key = self.settings.api_key.get_secret_value() if self.settings.api_key else None
        return Replica(
            url,
            key,
            self._timeouts,
            self._health,
            tls=self.tls,
            server_name=self.settings.tls.server_name,
            address=address,
            place=place,
        )

    def _capacity(self) -> int:
        limit = self.settings.max_in_flight or 2**31
        if self._max_connections is not None:
            well = sum(replica.well for replica in self.replicas) or len(self.replicas)
            limit = min(limit, self._max_connections * well)
        return limit
