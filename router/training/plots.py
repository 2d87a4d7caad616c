"""Draw an evaluation as PNG files. Knows reports and matplotlib; measures nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # the backend must be chosen first

_STYLES: Final[Mapping[str, tuple[str, str, float]]] = {
    "judge": ("#0b6e4f", "-", 2.4),
    "keywords": ("#c44900", "--", 1.4),
    "length": ("#8a4fff", "--", 1.4),
    "random": ("#999999", ":", 1.2),
    "shuffled at equal cost": ("#bbbbbb", ":", 1.2),
    "domain oracle": ("#1f77b4", "-.", 1.2),
    "outcome oracle": ("#222222", "-.", 1.2),
}


def draw_report(report: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write the plots that a report of `evaluation.evaluate` allows; the files written."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    if report.get("calibration"):
        written.append(_reliability(report["calibration"], directory / "reliability.png"))
    for name in ("routing", "traffic"):
        if report.get(name):
            written.append(_accuracy(report[name], directory / f"{name}.png"))
    if report.get("weak_label"):
        written.append(_bars(report["weak_label"], directory / "auroc.png"))
    return written


def _reliability(calibration: Mapping[str, Any], path: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(5, 5), layout="constrained")
    points: Sequence[Sequence[float]] = calibration["reliability"]
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle="--", label="perfect")
    axes.plot([p[0] for p in points], [p[1] for p in points], color="#0b6e4f", marker="o", label="judge")
    for mean, rate, share in points:
        axes.annotate(f"{share:.0%}", (mean, rate), textcoords="offset points", xytext=(6, -10), fontsize=8)
    axes.set(xlabel="score", ylabel="share of hard prompts", title=f"Reliability (ECE {calibration['ece']:.3f})")
    axes.legend(loc="upper left")
    return _saved(figure, path)


def _accuracy(routing: Mapping[str, Any], path: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, curve in routing["curves"].items():
        colour, line, width = _STYLES.get(name, ("#555555", "-", 1.0))
        ratios = [step / (len(curve["accuracy"]) - 1) for step in range(len(curve["accuracy"]))]
        label = f"{name} (APGR {curve['apgr']:.3f})"
        axes.plot(ratios, curve["accuracy"], color=colour, linestyle=line, linewidth=width, label=label)
    axes.set(
        xlabel="share of prompts that think",
        ylabel="accuracy",
        title=f"Accuracy against think ratio, {routing['rows']} prompts",
    )
    axes.legend(fontsize=8, loc="lower right")
    return _saved(figure, path)


def _bars(ranking: Mapping[str, Any], path: Path) -> Path:
    rows = [(f"source {name}", value) for name, value in ranking["by_source"].items()]
    rows += [(f"language {name}", value) for name, value in ranking["by_language"].items()]
    figure, axes = pyplot.subplots(figsize=(7, 0.26 * len(rows) + 1.2), layout="constrained")
    names = [name for name, _ in rows][::-1]
    values = [value for _, value in rows][::-1]
    axes.barh(names, values, color=["#0b6e4f" if name.startswith("source") else "#1f77b4" for name in names])
    axes.axvline(0.5, color="#999999", linewidth=1)
    axes.set(
        xlim=(0.3, 1.0),
        xlabel="AUROC, hard against easy",
        title=f"Ranking by weak label (pooled {ranking['auroc']:.3f})",
    )
    axes.tick_params(axis="y", labelsize=7)
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
