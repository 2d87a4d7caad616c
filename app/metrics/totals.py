"""What several processes have counted, as one. Knows Prometheus' samples; knows no process and no metric's meaning.

Counters and histograms add up. Of gauges most add up too; the others say below how they go together.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Reduce = Callable[[Sequence[float]], float]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


TOGETHER: dict[str, Reduce] = {
    "thinkgate_in_flight": sum,
    "thinkgate_waiting": sum,
    "thinkgate_backend_up": min,
    "thinkgate_backend_ejected": max,
    "thinkgate_threshold": _mean,
    "thinkgate_threshold_margin": _mean,
    "thinkgate_think_ratio": _mean,
    "thinkgate_think_ratio_target": _mean,
    "thinkgate_state_behind_seconds": max,
}
"""How a gauge of all workers comes out of each one's: `min` says up where every worker can reach the replica."""

Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct):
    """One metric and its samples: (name of the sample, its labels, value)."""

    name: str
    help: str
    type: str
    samples: list[tuple[str, Labels, float]]


def snapshot(registry: CollectorRegistry) -> list[Family]:
    """What one process has counted until now."""
    return [
        Family(m.name, m.documentation, m.type, [(s.name, tuple(s.labels.items()), s.value) for s in m.samples])
        for m in registry.collect()
    ]


def lasting(families: Iterable[Family]) -> list[Family]:
    """What is left of a process that has ended: what it has counted, not how it stood."""
    return [family for family in families if family.type != "gauge"]


def add_up(snapshots: Iterable[Iterable[Family]]) -> list[Family]:
    """One snapshot of several, families and series in the order in which they come."""
    families: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, Labels], list[float]]] = {}
    for one in snapshots:
        for family in one:
            families.setdefault(family.name, family)
            series = values.setdefault(family.name, {})
            for name, labels, value in family.samples:
                series.setdefault((name, labels), []).append(value)
    made = []
    for family in families.values():
        together = TOGETHER.get(family.name, sum) if family.type == "gauge" else sum
        samples = [(name, labels, float(together(found))) for (name, labels), found in values[family.name].items()]
        made.append(Family(family.name, family.help, family.type, samples))
    return made


def exposition(families: Iterable[Family]) -> bytes:
    """The text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(families))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.help, family.type)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric
