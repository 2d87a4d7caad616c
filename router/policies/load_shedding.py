"""Raises the threshold while the thinking pool is under pressure. Knows pressure and time; knows no pool.

From pressure to margin it is a line, so that the shedding grows with the pressure and the loop has no switch to
chatter. Two things keep it calm: once begun it ends at a lower pressure than it began at (hysteresis), and the margin
follows its line with a lag, quick to rise and slow to fall.
"""

from dataclasses import dataclass
from math import exp


@dataclass(frozen=True, slots=True)
class LoadShedding:
    """`margin` is added to the threshold at the pressure `full` and above; shedding begins at the pressure `start` and
    ends `hysteresis` below it. The margin's time constants are `attack_s` upwards and `release_s` downwards, in
    seconds. Pressure is 1 where the pool's places are all taken, or its backend is full."""

    margin: float = 0.3
    start: float = 0.8
    full: float = 1.2
    hysteresis: float = 0.1
    attack_s: float = 3.0
    release_s: float = 30.0


class LoadShedder:
    """`margin` is what is added to the threshold now."""

    __slots__ = ("_at_s", "_sheds", "margin", "policy")

    def __init__(self, policy: LoadShedding) -> None:
        self.policy = policy
        self.margin = 0.0
        self._sheds = False
        self._at_s: float | None = None

    def observe(self, pressure: float, now_s: float) -> float:
        """The margin, now that the pressure is so. `now_s` is monotonic and may stand still, but not go back."""
        policy = self.policy
        stop = policy.start - policy.hysteresis
        self._sheds = pressure > stop if self._sheds else pressure >= policy.start
        wanted = min(1.0, (pressure - stop) / (policy.full - stop)) * policy.margin if self._sheds else 0.0
        if self._at_s is not None:
            lag_s = policy.attack_s if wanted > self.margin else policy.release_s
            self.margin += (wanted - self.margin) * (1.0 - exp((self._at_s - now_s) / lag_s))
            if not wanted and self.margin < 0.0005:  # less than the threshold's own steps
                self.margin = 0.0
        self._at_s = now_s
        return self.margin
