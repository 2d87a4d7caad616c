"""Seeded traffic: when requests come, what a judge says of them, how long they would think. Knows no policy."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

HOUR_S, DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """`at_s` seconds after the trace's beginning; `score` in [0, 1]; `tokens` of thinking, if it thinks."""

    at_s: float
    score: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix of easy and hard requests: the logits of their scores are two bells, `hard` the share of the upper one."""

    hard: float
    easy_logit: float = -2.5
    hard_logit: float = 1.5
    spread: float = 1.2


CHAT, WORK, EXAM = Mix(0.15), Mix(0.45), Mix(0.85)
Rate = Callable[[float], float]
"""Requests a second at a time."""
MixAt = Callable[[float], Mix]


def traffic(seed: int, until_s: float, rate: Rate, mix: MixAt, *, most: float) -> list[Arrival]:
    """A Poisson process with a rate that changes (by thinning; `most` is its highest), and scores from the mix of the
    moment. Thinking takes 1,200 tokens in the mean (lognormal), hard or easy."""
    random = np.random.default_rng(seed)
    arrivals, at_s = [], 0.0
    while (at_s := at_s + random.exponential(1 / most)) < until_s:
        if random.random() * most >= rate(at_s):
            continue
        now = mix(at_s)
        centre = now.hard_logit if random.random() < now.hard else now.easy_logit
        logit = random.normal(centre, now.spread)
        tokens = random.lognormal(np.log(1200) - 0.32, 0.8)
        arrivals.append(Arrival(at_s, float(1 / (1 + np.exp(-logit))), 1 + int(tokens)))
    return arrivals


def stationary(seed: int, until_s: float, per_s: float, mix: Mix = WORK) -> list[Arrival]:
    """The same traffic all the time."""
    return traffic(seed, until_s, lambda _: per_s, lambda _: mix, most=per_s)


def step(seed: int, until_s: float, per_s: float, before: Mix = CHAT, after: Mix = EXAM) -> list[Arrival]:
    """Another mix from the middle on."""
    return traffic(seed, until_s, lambda _: per_s, lambda at: before if at < until_s / 2 else after, most=per_s)


def daily(seed: int, days: int, per_s: float) -> list[Arrival]:
    """Ten times as many requests at noon as at midnight; chat in the evening, work by day, exams in the night."""

    def rate(at_s: float) -> float:
        return per_s * (0.55 - 0.45 * float(np.cos(2 * np.pi * at_s / DAY_S)))

    def mix(at_s: float) -> Mix:
        return Mix(0.45 + 0.35 * float(np.cos(2 * np.pi * (at_s / DAY_S - 0.1))))

    return traffic(seed, days * DAY_S, rate, mix, most=per_s)


def bursts(seed: int, until_s: float, per_s: float, factor: float = 6, every_s: float = 900) -> list[Arrival]:
    """For a minute in every quarter of an hour, `factor` times as many requests, and nearly all of them hard."""

    def bursting(at_s: float) -> bool:
        return at_s % every_s >= every_s - 60

    return traffic(
        seed,
        until_s,
        lambda at: per_s * (factor if bursting(at) else 1),
        lambda at: EXAM if bursting(at) else WORK,
        most=per_s * factor,
    )


def later(arrivals: list[Arrival], by_s: float) -> list[Arrival]:
    """The same traffic, so many seconds later."""
    return [replace(arrival, at_s=arrival.at_s + by_s) for arrival in arrivals]
