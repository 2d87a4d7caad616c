"""What several workers have counted, as one: sums, gauges that are no sums, and what stays of workers that ended."""

import re

import pytest

from app.config_file import parse_settings
from app.gateway import create_app
from app.metrics import Meters
from app.metrics.totals import TOGETHER, Family, add_up, exposition, lasting, snapshot
from app.server.census import Census
from app.server.channel import Count, Totals
from router.judges import ConstantJudge
from tests.docs.test_docs import BASE


def meters(answered: int, judged_s: float) -> Meters:
    made = Meters()
    made.requests("chat", "instruct", "judge", "200").inc(answered)
    made.judge_duration("constant").observe(judged_s, 2)
    return made


def samples(text: bytes) -> dict[str, float]:
    return {m[1]: float(m[2]) for m in re.finditer(r"^(\w+(?:\{.*\})?) (\S+)$", text.decode(), re.M)}


def gauge(name: str, value: float) -> list[Family]:
    return [Family(name, "help", "gauge", [(name, (), value)])]


def test_counters_and_histograms_add_up_to_what_one_process_would_have_counted():
    one = meters(3, 0.001)
    one.requests("chat", "thinking", "judge", "200").inc(4)
    two = meters(5, 0.1)
    both = Meters()
    both.requests("chat", "instruct", "judge", "200").inc(8)
    both.requests("chat", "thinking", "judge", "200").inc(4)
    both.judge_duration("constant").observe(0.001, 2)
    both.judge_duration("constant").observe(0.1, 2)
    together = exposition(add_up([snapshot(one.registry), snapshot(two.registry)]))
    assert samples(together) == samples(both.exposition())
    assert [line for line in together.splitlines() if line.startswith(b"#")] == [
        line for line in both.exposition().splitlines() if line.startswith(b"#")
    ]


def test_buckets_of_a_histogram_stay_in_order():
    text = exposition(add_up([snapshot(meters(1, 0.001).registry), snapshot(meters(1, 0.1).registry)])).decode()
    bounds = re.findall(r'judge_duration_seconds_bucket\{judge="constant",le="([^"]+)"', text)
    assert bounds == sorted(bounds, key=float)
    assert bounds[-1] == "+Inf"


@pytest.mark.parametrize(
    ("name", "of_all"),
    [
        ("in_flight", 4.0),
        ("backend_up", 1.0),
        ("backend_ejected", 3.0),
        ("threshold", 2.0),
        ("threshold_margin", 2.0),
        ("of_tomorrow", 4.0),
    ],
)
def test_gauges_go_together_as_they_mean(name, of_all):
    name = f"thinkgate_{name}"
    made = add_up([gauge(name, 1.0), gauge(name, 3.0)])
    assert made[0].samples == [(name, (), of_all)]


def test_somebody_has_thought_about_every_gauge():
    app = create_app(parse_settings(BASE, {}), judge=ConstantJudge())
    gauges = {metric.name for metric in app.meters.registry.collect() if metric.type == "gauge"}
    assert gauges <= set(TOGETHER), "say in app/metrics/totals.py what these are of all workers together"


def test_of_an_ended_worker_counts_stay_and_gauges_go():
    left = lasting([*snapshot(meters(3, 0.1).registry), *gauge("thinkgate_in_flight", 2.0)])
    assert "thinkgate_in_flight" not in {family.name for family in left}
    assert (
        samples(exposition(left))['thinkgate_requests_total{api="chat",mode="instruct",reason="judge",status="200"}']
        == 3
    )


class Told:
    """A worker that keeps what it is told."""

    def __init__(self) -> None:
        self.counted = []
        self.messages = []
        self.channel = self

    def send(self, message) -> None:
        self.messages.append(message)

    def totals(self) -> list[float]:
        texts = [message.text.encode() for message in self.messages if isinstance(message, Totals)]
        return [samples(text)["thinkgate_in_flight"] for text in texts]


def test_who_asks_is_answered_when_everybody_has_reported():
    one, two = Told(), Told()
    census = Census(lambda: [one, two])
    census.ask(one)
    assert one.messages == two.messages == [Count()]
    census.report(two, gauge("thinkgate_in_flight", 2.0))
    assert one.totals() == []
    census.report(one, gauge("thinkgate_in_flight", 1.0))
    assert one.totals() == [3.0]
    assert two.totals() == []


def test_who_asks_while_others_count_gets_the_next_round():
    """A report may have been written before what the later question is about."""
    one, two = Told(), Told()
    census = Census(lambda: [one, two])
    census.ask(one)
    census.report(one, gauge("thinkgate_in_flight", 1.0))
    census.ask(two)
    census.report(two, gauge("thinkgate_in_flight", 1.0))
    assert (one.totals(), two.totals()) == ([2.0], [])
    census.report(one, gauge("thinkgate_in_flight", 5.0))
    census.report(two, gauge("thinkgate_in_flight", 5.0))
    assert two.totals() == [10.0]


def test_a_worker_that_ends_meanwhile_is_waited_for_no_longer():
    one, two = Told(), Told()
    workers = [one, two]
    census = Census(lambda: workers)
    census.ask(one)
    census.report(one, gauge("thinkgate_in_flight", 1.0))
    workers.remove(two)
    census.gone(two)
    assert one.totals() == [1.0]


def test_a_worker_that_hangs_counts_with_what_it_said_last(monkeypatch):
    monkeypatch.setattr("app.server.census.ROUND_LIMIT_S", 0.0)
    one, two = Told(), Told()
    census = Census(lambda: [one, two])
    census.ask(one)
    census.report(two, gauge("thinkgate_in_flight", 7.0))
    census.report(one, gauge("thinkgate_in_flight", 1.0))
    census.ask(one)
    census.report(one, gauge("thinkgate_in_flight", 2.0))
    assert one.totals() == [8.0]
    census.tick()
    assert one.totals() == [8.0, 9.0]
