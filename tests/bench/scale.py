"""How the gateway's cost grows: with workers, bodies, histories, streams, rates, time, and with what it keeps.

    python -m tests.bench.scale [--quick] [NAME…]

Without names all studies, an hour in all with the ten minutes' soak. Each writes results/scale-NAME.json and .png.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tests.bench import machine
from tests.bench.processes import allow_many_files
from tests.bench.report import number
from tests.bench.studies import STUDIES, Row

# The study's name: what is varied, and what is drawn over it.
AXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "workers": ("workers", ("rps", "chunks_s", "gw_cpu_us_per_req", "gw_cpu_us_per_chunk")),
    "bodies": ("characters of the last message", ("gw_cpu_us_per_req", "gw_rss_mb")),
    "history": ("turns of 200 characters", ("gw_cpu_us_per_req", "p50_ms")),
    "streams": ("streams at once", ("gw_cpu_us_per_chunk", "gw_rss_mb", "ttft_p99_ms")),
    "rates": ("tokens a second and stream, 256 streams", ("gw_cpu_us_per_chunk", "gw_cpu_pct")),
    "soak": ("seconds", ("gw_rss_mb",)),
    "growth": ("case", ("ratio",)),
}


def main() -> int:
    """Run from the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STUDIES))
    parser.add_argument("--quick", action="store_true", help="shorter loads")
    parser.add_argument("--output", type=Path, default=machine.ROOT / "results")
    options = parser.parse_args()
    for name in options.names:
        if name not in STUDIES:
            parser.error(f"no study `{name}`: {', '.join(STUDIES)}")
    allow_many_files()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.names or STUDIES:
        rows = list(STUDIES[name](options.quick, lambda what, name=name: _say(f"  {name}: {what}")))  # type: ignore[misc]
        facts = machine.facts()
        path = options.output / f"scale-{name}.json"
        path.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1))
        _plot(name, rows, path.with_suffix(".png"), machine.in_words(facts))
        print(f"\n{name}: over {AXES[name][0]}\n\n{_table(name, rows)}\n{machine.in_words(facts)}\n{path}", flush=True)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _table(name: str, rows: list[Row]) -> str:
    """Markdown. Of a soak only some rows are shown: the JSON has them all."""
    shown = rows if len(rows) < 20 else [rows[i * (len(rows) - 1) // 11] for i in range(12)]
    keys = list(dict.fromkeys(key for row in shown for key in row))
    lines = ["| " + " | ".join(keys) + " |", "|---" * len(keys) + "|"]
    lines += ["| " + " | ".join(_shown(row.get(key)) for key in keys) + " |" for row in shown]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return number(value, 0 if value is None or float(value).is_integer() or abs(value) >= 1000 else 2)


def _plot(name: str, rows: list[Row], path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    label, keys = AXES[name]
    figure, axes = pyplot.subplots(
        1, len(keys), figsize=(4.2 * len(keys) + 1, 3.6), layout="constrained", squeeze=False
    )
    for axis, key in zip(axes.flat, keys, strict=True):
        found = [(row.get("what", row["at"]), row[key]) for row in rows if row.get(key) is not None]
        if name in ("workers", "growth"):
            axis.barh([str(at) for at, _ in found], [value for _, value in found], color="#1f6feb")
            axis.set_ylabel(label)
        else:
            axis.plot([at for at, _ in found], [value for _, value in found], marker="o", ms=3, color="#1f6feb")
            axis.set_xlabel(label)
            axis.set_ylim(bottom=0)
            if name in ("bodies", "history", "streams"):
                axis.set_xscale("symlog")
        axis.set_title(key, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=7)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
