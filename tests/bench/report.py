"""From figures to a table, ratios and plots. Measures nothing."""

from collections.abc import Mapping
from pathlib import Path

from tests.bench.gateways import DIRECT

Summaries = Mapping[str, Mapping[str, float | None]]
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("request_cpu_us_c8", "CPU a request, 8 conn., µs", 0),
    ("request_cpu_us_c64", "64 conn., µs", 0),
    ("chunk_cpu_us_64", "CPU a chunk, 64 streams, µs", 1),
    ("chunk_cpu_us_256", "256, µs", 1),
    ("chunk_cpu_us_1024", "1,024, µs", 1),
    ("added_c1_p50_ms", "added, 1 conn., p50, ms", 2),
    ("added_c1_p99_ms", "p99, ms", 2),
    ("added_token_p99_ms", "added a token, 256 streams, p99, ms", 2),
    ("ttft_p99_1024_ms", "first token, 1,024 streams, p99, ms", 0),
    ("held_2048", "of 2,048 streams ended well", 0),
    ("rss_idle_mb", "RSS idle, MB", 0),
    ("kb_a_stream", "a stream, KB", 0),
    ("start_s", "start, s", 1),
    ("errors", "errors", 0),
    ("unfinished", "cut off", 0),
    ("starved_pct", "waited for its core, % at most", 0),
)
RUST = ("vllm-router", "sglang-router")
OURS, SLOW = "thinkgate", "litellm"
LIMITS: Mapping[str, float] = {
    "request_cpu_us_c64": 100,
    "chunk_cpu_us_256": 28,
    "added_c1_p50_ms": 0.35,
    "added_token_p99_ms": 1,
    "ttft_p99_1024_ms": 250,
    "rss_idle_mb": 90,
    "kb_a_stream": 40,
    "start_s": 1.5,
}


def number(value: float | None, digits: int) -> str:
    """As the tables show it."""
    return "–" if value is None else f"{value:,.{digits}f}"


def table(found: Summaries) -> str:
    """Markdown: gateways across, figures down, so that it fits a terminal."""
    lines = ["| figure | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for key, title, digits in COLUMNS:
        lines.append(f"| {title} | " + " | ".join(number(s.get(key), digits) for s in found.values()) + " |")
    return "\n".join(lines)


def ratios(found: Summaries) -> list[str]:
    """What one run says of ThinkGate beside the others."""
    lines = []
    ours = found.get(OURS, {})
    for key, what in (("request_cpu_us_c64", "CPU a request"), ("chunk_cpu_us_256", "CPU a chunk, 256 streams")):
        mine = ours.get(key)
        rust = [value for name in RUST if (value := found.get(name, {}).get(key))]
        if mine and rust:
            lines.append(f"{what}: {mine / min(rust):.2f} × the better Rust router's")
    mine, theirs = ours.get("request_cpu_us_c64"), found.get(SLOW, {}).get("request_cpu_us_c64")
    if mine and theirs:
        lines.append(f"CPU a request: LiteLLM's is {theirs / mine:.0f} × ours")
    return lines


def plot(found: Summaries, path: Path, title: str) -> None:
    """Bars by gateway; CPU times and waits on logarithmic axes, since they span three orders of magnitude."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = (
        ("request_cpu_us_c64", "CPU a request, 64 connections (µs)"),
        ("chunk_cpu_us_256", "CPU a chunk, 256 streams (µs)"),
        ("added_c1_p50_ms", "added latency, 1 connection, p50 (ms)"),
        ("ttft_p99_1024_ms", "first token, 1,024 streams, p99 (ms)"),
    )
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 6.5), layout="constrained")
    for axis, (key, label) in zip(axes.flat, panels, strict=True):
        bars = {name: value for name, s in found.items() if (value := s.get(key)) is not None and name != DIRECT}
        colours = ["#1f6feb" if name.startswith(OURS) else "#8b949e" for name in bars]
        drawn = axis.barh(list(bars), list(bars.values()), color=colours)
        axis.bar_label(drawn, [number(v, 0 if v >= 100 else 2 if v < 10 else 1) for v in bars.values()], padding=3)
        if bars and min(bars.values()) > 0:
            axis.set_xscale("log")
        axis.margins(x=0.25)
        axis.invert_yaxis()
        axis.set_title(label, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
