"""Draw panels of the dashboards from a real Prometheus: the picture in the documentation. Knows no panel by itself.

    .venv/bin/python -m tests.deploy.preview docs/images/dashboards.png

A gateway runs under synthetic traffic that changes twice, Prometheus scrapes it, and the panels' own queries are drawn
with matplotlib: what Grafana would be given, not what Grafana looks like.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tests.deploy.stack import EASY, HARD, Stack, chat, dashboards, running

PHASE_S = 40
SHOWN = {
    "routing.json": [
        "Decisions by mode",
        "Share that thinks, by reason",
        "Score quantiles and threshold",
        "Decisions by reason",
    ],
    "latency-and-cost.json": ["Time to the answer", "Tokens by mode and kind"],
}
EASY_ONES = [EASY, "Thanks!", "Translate 'good morning' into Chinese.", "你好", "Write a haiku about rain."]
HARD_ONES = [
    HARD,
    "Find all integers n with n^2 + n + 41 prime.",
    "证明：任意大于 2 的偶数……",
    "Why does this deadlock?",
]


def mix(gateway: str, stop: threading.Event, begun: float) -> None:
    """Easy traffic, then mixed, then hard: the share that thinks is seen to follow."""
    draw = random.Random(7)
    with httpx.Client(base_url=gateway, timeout=30) as client:
        while not stop.is_set():
            hard = draw.random() < min(0.9, 0.1 + 0.35 * int((time.monotonic() - begun) / PHASE_S))
            client.post("/v1/chat/completions", json=chat(draw.choice(HARD_ONES if hard else EASY_ONES)))
            stop.wait(0.02)


def panels() -> Iterator[dict[str, Any]]:
    """The panels to draw, as they are committed."""
    for name, titles in SHOWN.items():
        by_title = {panel["title"]: panel for panel in dashboards()[name]["panels"]}
        yield from (by_title[title] for title in titles)


def draw(axes: Axes, panel: dict[str, Any], stack: Stack, start: float, end: float) -> None:
    """One panel: every series of its queries."""
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    times, lines, names = None, [], []
    for target in panel["targets"]:
        expr = target["expr"].replace("$__rate_interval", "15s").replace("$job", ".*")
        for found in stack.api("query_range", query=expr, start=start, end=end, step=1)["result"]:
            name = target["legendFormat"]
            for label, value in found["metric"].items():
                name = name.replace("{{" + label + "}}", value)
            values = dict(found["values"])
            times = times or [start + i for i in range(int(end - start) + 1)]
            by_second = {round(float(at)): float(value) for at, value in values.items()}
            lines.append([by_second.get(round(at), float("nan")) for at in times])
            names.append(name)
    assert times is not None, f"{panel['title']}: nothing came back"
    seconds = [at - start for at in times]
    if stacked:
        axes.stackplot(seconds, [[0 if v != v else v for v in line] for line in lines], labels=names, alpha=0.7)
    else:
        for name, line in zip(names, lines, strict=True):
            axes.plot(seconds, line, label=name, linewidth=1.2)
    unit = {"reqps": "1/s", "percentunit": "share", "s": "s", "short": ""}[panel["fieldConfig"]["defaults"]["unit"]]
    axes.set_title(panel["title"], fontsize=10, loc="left", fontweight="bold")
    axes.set_ylabel(unit, fontsize=8)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.2)
    axes.legend(fontsize=6, ncols=2, loc="upper left", framealpha=0.6)


def main(path: str) -> None:
    """Run everything, then draw."""
    mpl.use("agg")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack:
        stop, begun, start = threading.Event(), time.monotonic(), time.time()
        sender = threading.Thread(target=mix, args=(stack.gateway, stop, begun))
        sender.start()
        try:
            time.sleep(3 * PHASE_S)
            figure, grid = plt.subplots(3, 2, figsize=(12, 9), constrained_layout=True)
            for axes, panel in zip(grid.flat, panels(), strict=True):
                draw(axes, panel, stack, start + 15, time.time() - 2)
            figure.suptitle(
                "Panels' own queries, answered by a real Prometheus under synthetic traffic; drawn with matplotlib",
                fontsize=9,
            )
            figure.savefig(path, dpi=100)
        finally:
            stop.set()
            sender.join()


if __name__ == "__main__":
    main(sys.argv[1])
