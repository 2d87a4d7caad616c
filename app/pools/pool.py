"""A pool: replicas that serve one model, and which of them is next. Knows load and health; knows no request."""

import random
from collections.abc import Collection

import msgspec

from app.pools.replica import Replica
from app.settings import Pool as PoolSettings
from app.settings import Timeouts


class Pool:
    """Chooses between replicas by the lesser load of two (Mitzenmacher 2001: almost as good as the least loaded of all,
    without herding)."""

    def __init__(self, name: str, settings: PoolSettings, timeouts: Timeouts, seed: int | None = None) -> None:
        self.name = name
        self.model = settings.model
        self.model_json = msgspec.Raw(msgspec.json.encode(settings.model))
        key = settings.api_key.get_secret_value() if settings.api_key else None
        self.replicas = [Replica(url, key, timeouts) for url in settings.replicas]
        self._random = random.Random(seed)

    @property
    def up(self) -> bool:
        """Can any replica be reached?"""
        return any(replica.up for replica in self.replicas)

    @property
    def in_flight(self) -> int:
        """Requests that have not ended."""
        return sum(replica.in_flight for replica in self.replicas)

    def choose(self, tried: Collection[Replica] = ()) -> Replica | None:
        """The next replica, leaving out those already `tried`; one that is down only where no other is left."""
        replicas = self.replicas
        if len(replicas) == 1:
            return None if replicas[0] in tried else replicas[0]
        left = [r for r in replicas if r not in tried]
        candidates = [r for r in left if r.up] or left
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        a, b = self._random.sample(candidates, 2)
        return a if a.in_flight <= b.in_flight else b

    def close(self) -> None:
        """Close the idle connections of all replicas."""
        for replica in self.replicas:
            replica.close()
