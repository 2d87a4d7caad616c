"""An evaluation as text for a terminal. Knows reports; measures nothing."""

from collections.abc import Iterable, Mapping
from typing import Any


def table_of(report: Mapping[str, Any]) -> str:
    """The report's numbers as aligned lines."""
    lines: list[str] = []
    if report.get("weak_label"):
        lines += ["", "Ranking: hard against easy prompts (AUROC by weak label)", *_ranking(report["weak_label"])]
    if report.get("hard_vs_easy"):
        lines += ["", f"  with outcome labels where there is no weak one: {report['hard_vs_easy']['auroc']:.3f}"]
    if report.get("calibration"):
        calibration = report["calibration"]
        lines += ["", f"Calibration: ECE {calibration['ece']:.3f} (soft targets {calibration['ece_soft_targets']:.3f})"]
    if report.get("gain", {}).get("by_source"):
        lines += ["", "Per-question gain within a source (AUROC)"]
        lines += _rows({**report["gain"]["by_source"], "macro": report["gain"]["macro"]}.items())
    for name, title in (("traffic", "Traffic of 70 % easy and 30 % hard"), ("routing", "All prompts with outcomes")):
        if report.get(name):
            lines += ["", f"{title} ({report[name]['rows']} prompts)", *_curves(report[name])]
    if report.get("shortcut_free"):
        free = report["shortcut_free"]
        lines += ["", f"Short hard against long easy prompts ({free['rows']}, AUROC)"]
        lines += _rows({"judge": free["auroc"], **free["baselines"]}.items())
    return "\n".join(lines).lstrip("\n")


def _ranking(ranking: Mapping[str, Any]) -> list[str]:
    lines = [f"  pooled {ranking['auroc']:.3f}, macro over sources {ranking['macro_over_sources']:.3f}, "
             f"over languages {ranking['macro_over_languages']:.3f} ({ranking['rows']} rows)"]  # fmt: skip
    for title in ("by_source", "by_language", "by_domain"):
        lines += [f"  {title.replace('_', ' ')}", *_rows(ranking[title].items())]
    lines += ["  baselines (pooled)", *_rows((name, value["auroc"]) for name, value in ranking["baselines"].items())]
    return lines


def _curves(routing: Mapping[str, Any]) -> list[str]:
    heads = [key for key in next(iter(routing["curves"].values())) if key != "accuracy"]
    lines = [f"  {'':24}" + "".join(f"{head:>9}" for head in heads)]
    for name, curve in routing["curves"].items():
        lines.append(f"  {name:24}" + "".join(f"{curve[head]:9.3f}" for head in heads))
    return lines


def _rows(pairs: Iterable[tuple[str, float]]) -> list[str]:
    return [f"    {name:28}{value:7.3f}" for name, value in pairs]
