"""Draw what was learned as PNG files. Knows reports; measures nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")  # no display is needed
from matplotlib import pyplot

_COLOURS: Final = ("#0b6e4f", "#1f77b4", "#d1495b", "#8d6a9f", "#edae49", "#555555")


def draw_adaptation(report: Mapping[str, Any], path: Path) -> Path:
    """Utility against think ratio on the labels, held out."""
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for number, (name, values) in enumerate(report["curves"].items()):
        ratios = [step / (len(values) - 1) for step in range(len(values))]
        plain = name in ("random", "outcomes known")
        axes.plot(ratios, values, label=name, color=_COLOURS[number], linestyle="--" if plain else "-")
    here = report["operation"]
    axes.plot([here["think_ratio"]], [here["utility"]], "o", color="black", label="chosen threshold")
    axes.set(
        xlabel="share of prompts that think",
        ylabel="mean utility",
        title=f"{report['labels']} labels: {'the prior is kept' if report['kept_prior'] else 'adapted'}",
    )
    axes.legend(fontsize=8)
    return saved(figure, path)


def draw_escalation(report: Mapping[str, Any], path: Path) -> Path:
    """Right answers against tokens, the judge alone and with escalation; no prompt chose the policy it is under."""
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for number, (name, points) in enumerate(report["curves"].items()):
        places = sorted((point["tokens"], point["correct"]) for point in points)
        axes.plot(*zip(*places, strict=True), marker="o", markersize=4, color=_COLOURS[number], label=name)
    for name, point in report["ends"].items():
        axes.plot([point["tokens"]], [point["correct"]], "s", color="#555555")
        axes.annotate(name, (point["tokens"], point["correct"]), fontsize=8)
    axes.set(xlabel="tokens an answer, dropped drafts included", ylabel="right", title=f"{report['labels']} labels")
    axes.legend(fontsize=8, loc="lower right")
    return saved(figure, path)


def draw_lines(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]],
    path: Path,
    *,
    x: str,
    y: str,
    title: str,
    log_x: bool = False,
) -> Path:
    """One line a name from (x, y, half widths of intervals; empty for none)."""
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for number, (name, (across, up, spread)) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(across, up, color=colour, label=name, marker="o" if len(across) < 12 else None, markersize=4)
        if spread:
            low = [value - half for value, half in zip(up, spread, strict=True)]
            high = [value + half for value, half in zip(up, spread, strict=True)]
            axes.fill_between(across, low, high, color=colour, alpha=0.15, linewidth=0)
    if log_x:
        axes.set_xscale("log")
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.legend(fontsize=8)
    return saved(figure, path)


def saved(figure: Any, path: Path) -> Path:
    """Write and close a figure."""
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
