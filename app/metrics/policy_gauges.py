"""What policies have made of the thresholds. Read when scraped: nothing to keep in step on the way of a request."""

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.policies.policies import Policies


class PolicyGauges(Collector):
    """`policies` gives those in use; None where there are none yet."""

    def __init__(self, policies: Callable[[], Policies | None]) -> None:
        self._policies = policies

    def collect(self) -> Iterable[GaugeMetricFamily]:
        threshold = GaugeMetricFamily("thinkgate_threshold", "Threshold in force.", labels=["profile"])
        share = GaugeMetricFamily(
            "thinkgate_think_ratio", "Share of recent judged requests that think.", labels=["profile"]
        )
        target = GaugeMetricFamily("thinkgate_think_ratio_target", "The share that is aimed at.", labels=["profile"])
        margin = GaugeMetricFamily(
            "thinkgate_threshold_margin", "What is added to the threshold, and why.", labels=["profile", "cause"]
        )
        policies = self._policies()
        for profile in () if policies is None else policies.profiles:
            name = [profile.name]
            controls = policies.of(profile) if policies is not None else None
            if controls is None:
                threshold.add_metric(name, profile.threshold)
                continue
            force = controls.last
            threshold.add_metric(name, force.threshold)
            margin.add_metric([profile.name, "load"], force.load)
            margin.add_metric([profile.name, "budget"], force.budget)
            if controls.ratio is not None:
                share.add_metric(name, controls.ratio.share)
                target.add_metric(name, controls.ratio.policy.target)
        yield threshold
        yield share
        yield target
        yield margin
