"""How hard a pool is pressed, as one number. Reads the pool's places and what its replicas say; decides nothing."""

from app.pools.pool import Pool

WAITING = 8.0
"""So many requests that wait at one replica are a pressure of 1."""


def pressure_of(pool: Pool) -> float:
    """1 where all places of the pool are taken, more where requests wait for one; or, where that is more, by the word
    of its replicas: the share of the KV cache that is used, or the number that waits there, in the mean. 0 for a pool
    without limits whose replicas tell nothing."""
    pressure = 0.0
    places = pool.places
    if places is not None:
        pressure = (places.in_use + places.waiting) / max(1, places.capacity())
    depths = [replica.depth for replica in pool.replicas if replica.up and replica.depth is not None]
    if depths:
        told = sum(max(depth.cache, depth.waiting / WAITING) for depth in depths) / len(depths)
        pressure = max(pressure, told)
    return pressure
