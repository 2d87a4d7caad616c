"""All metrics of the gateway, with their names, labels and buckets. Knows Prometheus; decides nothing.

Label values are bounded: none is chosen by a client.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.metrics.instruments import Counters, Histograms
from app.pools.pool import Pool
from router.mode import Mode

JUDGE_BUCKETS = (10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.2, 1.0)
OVERHEAD_BUCKETS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.2, 1.0)
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
GAP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
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


class ModeSeries:
    """The series of one mode, looked up once."""

    __slots__ = ("answer_tokens", "duration", "gaps", "prompt_tokens", "reasoning_tokens", "tta", "ttft")

    def __init__(self, meters: "Meters", mode: str) -> None:
        self.ttft = meters.ttft(mode)
        self.tta = meters.tta(mode)
        self.duration = meters.duration(mode)
        self.gaps = meters.gaps(mode)
        self.prompt_tokens = meters.tokens(mode, "prompt")
        self.reasoning_tokens = meters.tokens(mode, "reasoning")
        self.answer_tokens = meters.tokens(mode, "answer")


class Meters:
    """The registry and every instrument; one instance an application."""

    def __init__(self, pools: Iterable[Pool] = ()) -> None:
        registry = self.registry = CollectorRegistry()
        registry.register(_PoolGauges(pools))

        def counters(name: str, text: str, *labels: str) -> Counters:
            made = Counters("thinkgate_" + name, text, labels)
            registry.register(made)
            return made

        def histograms(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Histograms:
            made = Histograms("thinkgate_" + name, text, bounds, labels)
            registry.register(made)
            return made

        self.requests = counters("requests", "Requests answered.", "api", "mode", "reason", "status")
        self.decisions = counters("decisions", "Decisions made.", "mode", "reason", "judge")
        self.tokens = counters("tokens", "Tokens used.", "mode", "kind")
        self.upstream_errors = counters("upstream_errors", "Failures of backends.", "pool", "kind")
        self.client_disconnects = counters("client_disconnects", "Clients that left early.", "phase")
        self.fallbacks = counters("fallbacks", "Requests that the other mode answered.", "from", "to", "cause")
        self.retries = counters("retries", "Requests sent again to another replica.")()
        self.judge_duration = histograms("judge_duration_seconds", "Time the judge took.", JUDGE_BUCKETS, "judge")
        self.judge_score = histograms("judge_score", "Scores given.", SCORE_BUCKETS)()
        self.overhead = histograms(
            "overhead_seconds", "From the request's last byte to its dispatch to a backend.", OVERHEAD_BUCKETS
        )()
        self.ttft = histograms(
            "time_to_first_token_seconds", "To the first token of any kind.", LATENCY_BUCKETS, "mode"
        )
        self.tta = histograms("time_to_answer_seconds", "To the first token of the answer.", LATENCY_BUCKETS, "mode")
        self.duration = histograms("request_duration_seconds", "To the end of the answer.", LATENCY_BUCKETS, "mode")
        self.gaps = histograms("inter_token_seconds", "Time between tokens.", GAP_BUCKETS, "mode")
        self._modes = {mode: ModeSeries(self, mode.value) for mode in Mode}
        self.threshold = Gauge("thinkgate_threshold", "Threshold in force.", ["profile"], registry=registry)

    def mode(self, mode: Mode) -> ModeSeries:
        """The series of a mode."""
        return self._modes[mode]

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
