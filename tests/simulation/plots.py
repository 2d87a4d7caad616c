"""Pictures of policies over seeded traces. Knows matplotlib and the simulation; asserts nothing."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot

from router.policies.escalation import Escalation
from router.policies.load_shedding import LoadShedding
from router.policies.think_ratio import ThinkRatio
from router.policies.token_budget import TokenBudget
from router.profile import Profile
from tests.simulation.drafts import drafts, escalate
from tests.simulation.measures import binned, windowed
from tests.simulation.simulation import PoolModel, simulate
from tests.simulation.traffic import HOUR_S, bursts, daily, later, stationary, step

GREEN, ORANGE, GREY = "#0b6e4f", "#c44900", "#999999"


def think_ratio(directory: Path) -> Path:
    """The threshold, and the share that thinks, under four kinds of traffic."""
    window, target = 500, 0.3
    traces = {
        "stationary": stationary(1, 6 * HOUR_S, 1.0),
        "another mix from the middle on": step(1, 6 * HOUR_S, 1.0),
        "two days": daily(1, 2, 0.5),
        "bursts of hard requests": bursts(1, 3 * HOUR_S, 1.0),
    }
    figure, rows = pyplot.subplots(2, 4, figsize=(16, 5.5), sharey="row", layout="constrained")
    for (name, arrivals), above, below in zip(traces.items(), rows[0], rows[1], strict=True):
        trace = simulate(Profile(think_ratio=ThinkRatio(target, window)), arrivals)
        hours = trace.series("at_s") / HOUR_S
        above.plot(hours[::5], trace.series("threshold")[::5], color=GREEN, linewidth=1)
        above.set(title=name, ylim=(0, 1))
        share = windowed(trace.series("thought"), window)
        without = windowed(trace.series("score") >= 0.5, window)
        below.plot(hours[window - 1 :: 5], without[::5], color=GREY, linewidth=1, label="fixed threshold 0.5")
        below.plot(hours[window - 1 :: 5], share[::5], color=GREEN, linewidth=1.4, label="controlled")
        below.axhline(target, color=ORANGE, linewidth=1, linestyle="--", label="target")
        below.set(xlabel="hours", ylim=(0, 1))
    rows[0][0].set_ylabel("threshold")
    rows[1][0].set_ylabel(f"share thinking, last {window}")
    rows[1][0].legend(fontsize=8)
    return _saved(figure, directory / "policy-think-ratio.png")


def load_shedding(directory: Path) -> Path:
    """A pool of 40 places under a step of the load, and bursts: its pressure, and the threshold."""
    pool = PoolModel(places=40, speed=50)
    rising = [*stationary(1, 1800, 1.5), *later(stationary(2, 3600, 6.0), 1800), *later(stationary(3, 1800, 1.5), 5400)]
    traces = {"four times the load for an hour": rising, "bursts of hard requests": bursts(1, 2 * HOUR_S, 2.0)}
    figure, rows = pyplot.subplots(2, 2, figsize=(13, 5.5), sharex="col", layout="constrained")
    for column, (name, arrivals) in enumerate(traces.items()):
        above, below = rows[0][column], rows[1][column]
        bare = simulate(Profile(), arrivals, pool)
        trace = simulate(Profile(load_shedding=LoadShedding()), arrivals, pool)
        minutes = trace.series("at_s") / 60
        above.plot(minutes[::3], bare.series("pressure")[::3], color=GREY, linewidth=1, label="fixed threshold")
        above.plot(minutes[::3], trace.series("pressure")[::3], color=GREEN, linewidth=1, label="shedding")
        above.axhline(1, color=ORANGE, linewidth=1, linestyle="--", label="all places taken")
        above.set(title=name, ylim=(0, 4))
        below.plot(minutes[::3], trace.series("threshold")[::3], color=GREEN, linewidth=1)
        below.set(xlabel="minutes", ylim=(0.4, 0.9))
    rows[0][0].set_ylabel("pressure")
    rows[1][0].set_ylabel("threshold")
    rows[0][0].legend(fontsize=8)
    return _saved(figure, directory / "policy-load-shedding.png")


def token_budget(directory: Path) -> Path:
    """A million thinking tokens an hour: what any hour has spent, and the threshold."""
    limit = 1_000_000
    traces = {
        "stationary": stationary(1, 6 * HOUR_S, 1.0),
        "another mix from the middle on": step(1, 6 * HOUR_S, 1.0),
        "a day": daily(1, 1, 1.0),
        "bursts of hard requests": bursts(1, 6 * HOUR_S, 1.0),
    }
    figure, rows = pyplot.subplots(2, 4, figsize=(16, 5.5), sharey="row", layout="constrained")
    for (name, arrivals), above, below in zip(traces.items(), rows[0], rows[1], strict=True):
        trace = simulate(Profile(token_budget=TokenBudget(per_hour=limit)), arrivals)
        bare = simulate(Profile(), arrivals)
        for spent, colour, label in ((bare.spent, GREY, "no budget"), (trace.spent, GREEN, "budget")):
            at_s, tokens = np.asarray(spent, float).T
            sums = np.cumsum(tokens)
            before = np.searchsorted(at_s, at_s - HOUR_S)
            last_hour = sums - np.where(before > 0, sums[before - 1], 0.0)
            above.plot(at_s[::5] / HOUR_S, last_hour[::5] / 1e6, color=colour, linewidth=1.2, label=label)
        above.axhline(1, color=ORANGE, linewidth=1, linestyle="--", label="limit")
        above.set(title=name, ylim=(0, 3.5))
        middles, threshold = binned(trace.series("at_s"), trace.series("threshold"), 60)
        below.plot(middles / HOUR_S, threshold, color=GREEN, linewidth=1)
        below.set(xlabel="hours", ylim=(0.4, 1.05))
    rows[0][0].set_ylabel("million tokens in the last hour")
    rows[1][0].set_ylabel("threshold (mean of a minute)")
    rows[0][0].legend(fontsize=8)
    return _saved(figure, directory / "policy-token-budget.png")


def escalation(directory: Path) -> Path:
    """What the bound trades: drafts dropped, right answers, wasted tokens."""
    made = drafts(1, 6000)
    bounds = -np.geomspace(0.05, 3, 25)
    outcomes = [escalate(Escalation(bound=float(bound)), made) for bound in bounds]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    left.plot(bounds, [o.dropped for o in outcomes], color=GREY, label="drafts dropped")
    left.plot(bounds, [o.right for o in outcomes], color=GREEN, label="right in the end")
    alone = sum(d.right for d in made) / len(made)
    at_random = [alone + o.dropped * (0.95 - alone) for o in outcomes]
    left.plot(bounds, at_random, color=ORANGE, linestyle="--", label="as many dropped at random")
    left.set(xlabel="bound", ylabel="share of watched requests", ylim=(0, 1))
    left.legend(fontsize=8)
    right.plot([o.dropped for o in outcomes], [o.wasted for o in outcomes], color=GREEN)
    right.set(xlabel="share dropped", ylabel="wasted tokens a watched request", ylim=(0, 25))
    return _saved(figure, directory / "policy-escalation.png")


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
    return path


ALL = (think_ratio, load_shedding, token_budget, escalation)
