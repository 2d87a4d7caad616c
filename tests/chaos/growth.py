"""Memory and descriptors of a process over time, and whether they grow. Knows numbers; knows no process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import numpy as np

WARM = 0.6
"""This share of a run is the warm-up. What is bounded finds its size in it: sessions, pools, buffers, the allocator's
arenas, and what failed requests leave to the collector's oldest generation."""

LEAST_S = 60.0
"""Shorter runs say nothing about growth."""

MOST_RSS_KIB_PER_MIN = 1024.0
"""Of a process of some 90 MB whose allocator gives and takes: a leak of a KiB a request would be ten times that."""

MOST_MORE_DESCRIPTORS = 0.1
"""The last part of a run may hold this share more than the first part after the warm-up: clients come and go."""


@dataclass
class Growth:
    """Samples of `resources`, one a second: see `Gateway.resources`."""

    resources: Callable[[], dict[str, int]]
    at_s: list[float] = field(default_factory=list)
    rss_kib: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def sample(self, at_s: float) -> None:
        found = self.resources()
        self.at_s.append(at_s)
        self.rss_kib.append(found["rss_kib"])
        self.descriptors.append(found["descriptors"])

    async def watch(self) -> None:
        """Sample until cancelled."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        while True:
            self.sample(loop.time() - started_s)
            await asyncio.sleep(1.0)

    @property
    def seconds(self) -> float:
        """How long it was watched."""
        return self.at_s[-1] - self.at_s[0] if self.at_s else 0.0

    def _after_warm_up(self) -> tuple[float, float, float]:
        """KiB a minute, and the descriptors of the first and the last third."""
        warm = int(len(self.at_s) * WARM)
        slope = (
            float(np.polyfit(self.at_s[warm:], self.rss_kib[warm:], 1)[0]) * 60 if len(self.at_s) - warm > 2 else 0.0
        )
        early, late = _ends(self.descriptors[warm:])
        return (slope, early, late)

    def figures(self) -> dict[str, float | list[int]]:
        """What happened after the warm-up; memory also at ten moments of the whole run."""
        slope, early, late = self._after_warm_up()
        return {
            "rss_kib": [self.rss_kib[i * (len(self.rss_kib) - 1) // 9] for i in range(10)] if self.rss_kib else [],
            "rss_kib_per_min": round(slope, 1),
            "descriptors_early": early,
            "descriptors_late": late,
        }

    def grows(self) -> list[str]:
        """What has grown, in words; nothing for runs that are too short to tell."""
        if self.seconds < LEAST_S:
            return []
        slope, early, late = self._after_warm_up()
        grown = []
        if slope > MOST_RSS_KIB_PER_MIN:
            grown.append(f"memory: {slope:.0f} KiB a minute")
        if late > early * (1 + MOST_MORE_DESCRIPTORS) + 10:
            grown.append(f"descriptors: {early:.0f} -> {late:.0f}")
        return grown


def _ends(values: list[int]) -> tuple[float, float]:
    third = max(1, len(values) // 3)
    return float(median(values[:third] or [0])), float(median(values[-third:] or [0]))
