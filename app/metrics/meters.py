"""All metrics of the gateway, with their names, labels and buckets. Knows Prometheus; decides nothing.

Label values are bounded: none is chosen by a client. Children are kept, since looking one up costs ten times an
increment.
"""

from collections.abc import Callable, Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.metrics.gaps import GapHistogram
from app.pools.pool import Pool

JUDGE_BUCKETS = (10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.2, 1.0)
OVERHEAD_BUCKETS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.2, 1.0)
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
GAP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
SCORE_BUCKETS = tuple(i / 20 for i in range(1, 21))


class _PoolGauges(Collector):
    """Read from the pools when scraped: nothing to keep in step on the way of a request."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self._pools = list(pools)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        flight = GaugeMetricFamily("thinkgate_in_flight", "Requests that have not ended.", labels=["pool"])
        up = GaugeMetricFamily(
            "thinkgate_backend_up", "1 where the replica can be reached.", labels=["pool", "replica"]
        )
        for pool in self._pools:
            flight.add_metric([pool.name], pool.in_flight)
            for i, replica in enumerate(pool.replicas):
                up.add_metric([pool.name, str(i)], float(replica.up))
        yield flight
        yield up


class Meters:
    """The registry and every instrument; one instance an application."""

    def __init__(self, pools: Iterable[Pool] = ()) -> None:
        registry = self.registry = CollectorRegistry()
        registry.register(_PoolGauges(pools))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter("thinkgate_" + name, text, labels, registry=registry)

        def histogram(name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram("thinkgate_" + name, text, labels, registry=registry, buckets=buckets)

        requests = counter("requests", "Requests answered.", "api", "mode", "reason", "status")
        decisions = counter("decisions", "Decisions made.", "mode", "reason", "judge")
        tokens = counter("tokens", "Tokens used.", "mode", "kind")
        upstream_errors = counter("upstream_errors", "Failures of backends.", "pool", "kind")
        disconnects = counter("client_disconnects", "Clients that left early.", "phase")
        fallbacks = counter("fallbacks", "Requests that the other mode answered.", "from", "to", "cause")
        self.retries = counter("retries", "Requests sent again to another connection or replica.")
        judge_duration = histogram("judge_duration_seconds", "Time the judge took.", ("judge",), JUDGE_BUCKETS)
        self.judge_score = histogram("judge_score", "Scores given.", (), SCORE_BUCKETS)
        self.overhead = histogram(
            "overhead_seconds", "Time the gateway itself took before the backend got the request.", (), OVERHEAD_BUCKETS
        )
        ttft = histogram("time_to_first_token_seconds", "To the first token of any kind.", ("mode",), LATENCY_BUCKETS)
        tta = histogram("time_to_answer_seconds", "To the first token of the answer.", ("mode",), LATENCY_BUCKETS)
        duration = histogram("request_duration_seconds", "To the end of the answer.", ("mode",), LATENCY_BUCKETS)
        self.gaps = GapHistogram("thinkgate_inter_token_seconds", "Time between tokens.", "mode", GAP_BUCKETS)
        registry.register(self.gaps)
        self.threshold = Gauge("thinkgate_threshold", "Threshold in force.", ["profile"], registry=registry)

        # The values are bounded (modes, reasons, statuses, pools), so an unbounded cache is a bounded one.
        self.requests: Callable[[str, str, str, int], Counter] = cache(lambda *v: requests.labels(*v))
        self.decisions: Callable[[str, str, str], Counter] = cache(lambda *v: decisions.labels(*v))
        self.tokens: Callable[[str, str], Counter] = cache(lambda *v: tokens.labels(*v))
        self.upstream_errors: Callable[[str, str], Counter] = cache(lambda *v: upstream_errors.labels(*v))
        self.client_disconnects: Callable[[str], Counter] = cache(lambda *v: disconnects.labels(*v))
        self.fallbacks: Callable[[str, str, str], Counter] = cache(lambda *v: fallbacks.labels(*v))
        self.judge_duration: Callable[[str], Histogram] = cache(lambda *v: judge_duration.labels(*v))
        self.ttft: Callable[[str], Histogram] = cache(lambda *v: ttft.labels(*v))
        self.tta: Callable[[str], Histogram] = cache(lambda *v: tta.labels(*v))
        self.duration: Callable[[str], Histogram] = cache(lambda *v: duration.labels(*v))

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
