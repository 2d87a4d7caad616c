"""The controllers of all profiles. Knows profiles, pools and the clock; the laws are in router/policies."""

from collections.abc import Iterable, Iterator
from time import monotonic

from app.limits.ledger import Ledger
from app.policies.pressure import pressure_of
from app.pools.pool import Pool
from router.policies.controls import Controls
from router.policies.in_force import InForce
from router.policies.peers import Peer
from router.profile import Profile


class Policies:
    """`profiles` are all profiles; only those that are controlled have controls."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self.profiles = tuple(profiles)
        self._controls = {profile.name: Controls(profile) for profile in self.profiles if profile.controlled}

    def of(self, profile: Profile) -> Controls | None:
        """The profile's controls, None where nothing moves its threshold."""
        return self._controls.get(profile.name)

    def succeed(self, old: "Policies") -> None:
        """Take over after a reload what has been found for profiles that are still there."""
        for name, controls in self._controls.items():
            if name in old._controls:
                controls.succeed(old._controls[name])

    def peers(self) -> Iterator[tuple[tuple[str, ...], Peer]]:
        """The controllers that act together with their like in other gateways, by name."""
        for controls in self._controls.values():
            yield from controls.peers()

    def in_force(self, profile: Profile, thinking_pool: Pool, ledger: Ledger | None) -> InForce:
        """The threshold in force for a controlled profile, the pool that would think, and the caller's account."""
        now_s, budget = monotonic(), profile.token_budget
        pressure = pressure_of(thinking_pool) if profile.load_shedding is not None else 0.0
        room = 1.0
        if ledger is not None and budget is not None and budget.tenants:
            room = ledger.thinking_room(now_s)
        return self._controls[profile.name].in_force(now_s, pressure, room)
