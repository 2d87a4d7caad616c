"""All metrics of the gateway, with their names, labels and buckets. Knows Prometheus; decides nothing.

Label values are bounded: none is chosen by a client.
"""

from collections.abc import Awaitable, Callable, Iterable

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.metrics.instruments import Buckets, Counters, Histograms
from app.metrics.policy_gauges import PolicyGauges
from app.policies.policies import Policies
from app.pools.pool import Pool
from router.mode import Mode

JUDGE_BUCKETS = (10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.2, 1.0)
OVERHEAD_BUCKETS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.2, 1.0)
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
GAP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
SURPRISE_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0)
SCORE_BUCKETS = tuple(i / 20 for i in range(1, 21))


class _PoolGauges(Collector):
    """Read from the pools when scraped: nothing to keep in step on the way of a request."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        self._pools = pools  # perhaps a live view

    def collect(self) -> Iterable[GaugeMetricFamily]:
        flight = GaugeMetricFamily("thinkgate_in_flight", "Requests that have not ended.", labels=["pool"])
        waiting = GaugeMetricFamily("thinkgate_waiting", "Requests that wait for a place in a pool.", labels=["pool"])
        ejected = GaugeMetricFamily(
            "thinkgate_backend_ejected", "1 where the replica is left alone after failures.", labels=["pool", "replica"]
        )
        up = GaugeMetricFamily(
            "thinkgate_backend_up", "1 where the replica can be reached.", labels=["pool", "replica"]
        )
        for pool in self._pools:
            flight.add_metric([pool.name], pool.in_flight)
            waiting.add_metric([pool.name], pool.waiting)
            for replica in pool.replicas:
                up.add_metric([pool.name, str(replica.place)], float(replica.up))
                ejected.add_metric([pool.name, str(replica.place)], float(replica.up and not replica.well))
        yield flight
        yield waiting
        yield ejected
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


class DecidedSeries:
    """The series of one kind of decision, looked up once."""

    __slots__ = ("decisions", "judging", "score")

    def __init__(self, meters: "Meters", mode: str, reason: str, judge: str, profile: str) -> None:
        self.decisions = meters.decisions(mode, reason, judge, profile)
        self.score = meters.judge_score
        self.judging = meters.judge_duration(judge) if judge else Buckets(JUDGE_BUCKETS)  # nobody was asked


class Meters:
    """The registry and every instrument; one instance an application."""

    def __init__(self, pools: Iterable[Pool] = (), policies: Callable[[], Policies | None] = lambda: None) -> None:
        self.everybody: Callable[[], Awaitable[bytes]] | None = None
        """Gives what all workers have counted, where this process is one of several."""

        registry = self.registry = CollectorRegistry()
        registry.register(_PoolGauges(pools))
        registry.register(PolicyGauges(policies))

        def counters(name: str, text: str, *labels: str) -> Counters:
            made = Counters("thinkgate_" + name, text, labels)
            registry.register(made)
            return made

        def histograms(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Histograms:
            made = Histograms("thinkgate_" + name, text, bounds, labels)
            registry.register(made)
            return made

        self.requests = counters("requests", "Requests answered.", "api", "mode", "reason", "status")
        self.decisions = counters("decisions", "Decisions made.", "mode", "reason", "judge", "profile")
        self.tokens = counters("tokens", "Tokens used.", "mode", "kind")
        self.upstream_errors = counters("upstream_errors", "Failures of backends.", "pool", "kind")
        self.client_disconnects = counters("client_disconnects", "Clients that left early.", "phase")
        self.fallbacks = counters("fallbacks", "Requests that the other mode answered.", "from", "to", "cause")
        self.shed = counters("shed", "Requests turned away.", "cause")
        for cause in ("queue_full", "queue_timeout", "limit"):
            self.shed(cause)
        self.retries = counters("retries", "Requests sent again to another replica.")()
        self.budgets_refused = counters("budgets_refused", "Thinking budgets that a server knew nothing of.", "pool")
        self.rescues = counters("rescues", "Answers where thinking had left none.", "how")
        self.escalations = counters("escalations", "Drafts dropped, and answered by thinking.", "cause")
        self.explored = counters("explored", "Decisions that chance turned round.", "mode")
        for mode in Mode:
            self.explored(mode.value)
        self.draft_tokens = counters("draft_tokens", "Tokens of drafts that were held back.", "outcome")
        self.escalations("low_logprob")
        for outcome in ("kept", "dropped"):
            self.draft_tokens(outcome)
        self.draft_surprise = histograms(
            "draft_surprise_nats", "Mean negative log-probability of a draft's tokens.", SURPRISE_BUCKETS
        )()
        self.shadows = counters("shadows", "Shadows of requests, by what became of them.", "outcome")
        self.decisions_dropped = counters("decisions_dropped", "Decisions missing in the log.", "cause")
        for cause in ("queue_full", "refused"):
            self.decisions_dropped(cause)
        self.state_errors = counters("state_errors", "Failed exchanges with Redis.", "kind")
        for kind in ("connection", "timeout", "answer"):
            self.state_errors(kind)
        self.state_behind = Gauge(
            "thinkgate_state_behind_seconds",
            "Since the last exchange with Redis; 0 where nothing is shared.",
            registry=registry,
        )
        self.oidc_fetches = counters("oidc_fetches", "Fetches of the keys that tokens are signed with.", "outcome")
        for outcome in ("ok", "failed"):
            self.oidc_fetches(outcome)
        self.feedback = counters("feedback", "Verdicts on decisions.", "mode", "verdict")
        self.observations_dropped = counters("observations_dropped", "Requests missing in a log or traces.", "sink")
        for sink in ("access_log", "traces"):
            self.observations_dropped(sink)
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
        self._decided: dict[tuple[str, str, str, str], DecidedSeries] = {}
        self._modes = {mode: ModeSeries(self, mode.value) for mode in Mode}

    def decided(self, mode: str, reason: str, judge: str, profile: str) -> DecidedSeries:
        """The series of decisions of this kind."""
        key = (mode, reason, judge, profile)
        series = self._decided.get(key)
        if series is None:
            series = self._decided[key] = DecidedSeries(self, mode, reason, judge, profile)
        return series

    def mode(self, mode: Mode) -> ModeSeries:
        """The series of a mode."""
        return self._modes[mode]

    async def scrape(self) -> bytes:
        """The text that Prometheus gets, of all workers where there are several."""
        return await self.everybody() if self.everybody is not None else self.exposition()

    def exposition(self) -> bytes:
        """The text of what this process has counted."""
        return generate_latest(self.registry)
