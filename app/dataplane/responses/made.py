"""Which replica made which response. Knows ids and replicas; knows no wire format.

vLLM keeps responses in the memory of the server that made them, so whatever is asked about one later must go there.
This memory is the gateway's own and bounded: after a restart the ids are unknown, as they are after a restart of vLLM.
"""

from collections import OrderedDict

import msgspec

from app.pools.pool import Pool
from app.pools.replica import Replica


class Made(msgspec.Struct, frozen=True, gc=False):
    """Who holds a response."""

    pool: Pool
    replica: Replica


class MadeResponses:
    """The newest `capacity` responses, by tenant and id: nobody reaches another tenant's."""

    def __init__(self, capacity: int = 100_000) -> None:
        self.capacity = capacity
        self._made: OrderedDict[tuple[str, str], Made] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def keep(self, tenant: str, response_id: str, made: Made) -> None:
        """Remember who made a response."""
        self._made[tenant, response_id] = made
        self._made.move_to_end((tenant, response_id))
        if len(self._made) > self.capacity:
            self._made.popitem(last=False)

    def find(self, tenant: str, response_id: str) -> Made | None:
        """Who made a response of the tenant's, or None where that is not known."""
        return self._made.get((tenant, response_id))
