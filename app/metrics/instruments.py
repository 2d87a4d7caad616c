"""Counters and histograms for one event loop. Knows Prometheus' model; knows no metric of the gateway.

prometheus_client's own instruments take a lock and walk their buckets: a microsecond or more each, and a request has a
dozen. These are plain numbers that are turned into Prometheus' samples when it scrapes. Not thread-safe: one loop
writes them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Tally:
    """One time series of a counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, by: float = 1.0) -> None:
        """Count."""
        self.value += by


class Counters(Collector):
    """A counter by label values; calling it gives the series, so that `requests("chat", 200).inc()` counts."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self._name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._series: dict[tuple[str, ...], Tally] = {}
        if not labels:
            self._series[()] = Tally()

    def __call__(self, *values: str) -> Tally:
        series = self._series.get(values)
        if series is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} takes the labels {self._labels}")
            series = self._series[values] = Tally()
        return series

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for values, series in self._series.items():
            family.add_metric(values, series.value)
        yield family


class Buckets:
    """One time series of a histogram: counts by bucket, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, `times` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def merge(self, other: "Buckets") -> None:
        """Add everything that another series with the same bounds has counted."""
        counts = self.counts
        for i, n in enumerate(other.counts):
            if n:
                counts[i] += n
        self.sum += other.sum


class Histograms(Collector):
    """A histogram by label values; calling it gives the series."""

    def __init__(self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self._name = name
        self._help = help_text
        self._labels = tuple(labels)
        self.bounds = tuple(bounds)
        self._series: dict[tuple[str, ...], Buckets] = {}
        if not labels:
            self._series[()] = Buckets(self.bounds)

    def __call__(self, *values: str) -> Buckets:
        series = self._series.get(values)
        if series is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} takes the labels {self._labels}")
            series = self._series[values] = Buckets(self.bounds)
        return series

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for values, series in self._series.items():
            buckets, running = [], 0
            for bound, n in zip([*map(str, self.bounds), "+Inf"], series.counts, strict=True):
                running += n
                buckets.append((bound, float(running)))
            family.add_metric(values, buckets, series.sum)
        yield family
