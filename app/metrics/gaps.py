"""A histogram filled in bulk. Knows buckets; knows nothing of streams.

prometheus_client's `observe` costs a lock and a walk over the buckets: too much for every token. Each stream counts its
own gaps in a plain list and adds them here once, when it ends.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Gaps:
    """Times between tokens of one stream: counts by bucket, and their sum in seconds."""

    __slots__ = ("bounds", "counts", "sum_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_s = 0.0

    def add(self, gap_s: float, times: int = 1) -> None:
        """Count a gap."""
        self.counts[bisect_left(self.bounds, gap_s)] += times
        self.sum_s += gap_s * times


class GapHistogram(Collector):
    """All gaps by one label, as a Prometheus histogram."""

    def __init__(self, name: str, help_text: str, label: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._help = help_text
        self._label = label
        self.bounds = tuple(bounds)
        self._by_label: dict[str, Gaps] = {}

    def merge(self, value: str, gaps: Gaps) -> None:
        """Add a stream's gaps under a label value."""
        total = self._by_label.get(value)
        if total is None:
            total = self._by_label[value] = Gaps(self.bounds)
        counts = total.counts
        for i, n in enumerate(gaps.counts):
            if n:
                counts[i] += n
        total.sum_s += gaps.sum_s

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._help, labels=[self._label])
        for value, gaps in self._by_label.items():
            buckets, running = [], 0
            for bound, n in zip([*self.bounds, float("inf")], gaps.counts, strict=True):
                running += n
                buckets.append(("+Inf" if bound == float("inf") else str(bound), float(running)))
            family.add_metric([value], buckets, gaps.sum_s)
        yield family
