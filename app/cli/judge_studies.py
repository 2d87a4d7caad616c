"""`thinkgate judge learning-curve` and `simulate`: studies of learning on public outcomes. Knows arguments alone."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from app.cli.judge_learning import NEEDS_EXTRA, Failure, guarded, progress
from router.judges.weights import EMBEDDED, load_weights


def add_commands(commands: Any) -> None:
    """Add the commands to `thinkgate judge`."""
    curve = commands.add_parser(
        "learning-curve", help="how far labels of a source take the judge on questions left out"
    )
    data_arguments(curve)
    curve.add_argument("--labels", default="200,1000,5000", metavar="N,N,…", help="numbers of labels (200,1000,5000)")
    curve.add_argument("--splits", type=int, default=5, help="random splits into labels and test (default 5)")
    curve.set_defaults(run=guarded(_curve))

    policy = commands.add_parser("simulate", help="learn a policy from one outcome a question, where both are known")
    data_arguments(policy)
    policy.add_argument("--price", type=float, default=0.15, metavar="λ", help="of a thinking answer (default 0.15)")
    policy.add_argument("--explore", type=float, default=0.25, help="rate of exploration (default 0.25)")
    policy.add_argument("--rounds", type=int, default=8, help="batches that are served and learned from (default 8)")
    policy.add_argument("--batch", type=int, default=800, help="questions a batch (default 800)")
    policy.add_argument("--seeds", type=int, default=3, help="runs (default 3)")
    policy.add_argument("--repeats", type=int, default=20, help="logs that the estimators are tried on (default 20)")
    policy.set_defaults(run=guarded(_simulate))


def data_arguments(parser: argparse.ArgumentParser) -> None:
    """Data with both modes' outcomes, the sources to learn on, and where the report goes."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="rows as `judge train` reads them")
    parser.add_argument("--source", required=True, help="learn on sources whose name begins so")
    parser.add_argument(
        "--without", nargs="*", default=[], metavar="SOURCE", help="sources that the prior is not to know either"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where report.json and plots go")


def without_source(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """(the outcomes of the source's questions, a prior trained on everything else)."""
    from router.learning.outcomes import read_outcomes
    from router.training.dataset import data_files, read_rows
    from router.training.recipe import VERSION, train

    hidden = (arguments.source, *arguments.without)
    rows = []
    tell = progress()
    with tempfile.TemporaryDirectory() as directory:
        for path in data_files(arguments.data):
            with (Path(directory) / f"{path.name.split('.')[0]}.jsonl").open("w", encoding="utf-8") as kept:
                for row in read_rows(path):
                    if not str(row.get("source", "")).startswith(hidden):
                        kept.write(json.dumps(row) + "\n")
                    elif str(row.get("source", "")).startswith(arguments.source) and row.get("outcome"):
                        text = {"messages": row["messages"]} if row.get("messages") else {"prompt": row.get("prompt")}
                        rows.append({**row["outcome"], **text, "group": str(row.get("dataset") or "")})
        if not rows:
            raise Failure(f"no row of a source `{arguments.source}…` has an `outcome`")
        place = Path(directory) / "prior"
        version = f"{VERSION}-without-{arguments.source.strip('/')}"
        train(Path(directory), place, version=version, calibrated_like=EMBEDDED, progress=tell)
        return read_outcomes(rows), load_weights(place)


def _curve(arguments: argparse.Namespace) -> int:
    try:
        from router.learning.curve import learning_curve
        from router.learning.plots import draw_lines
    except ImportError as error:
        raise Failure(f"{NEEDS_EXTRA} ({error})") from error
    sizes = sorted(int(size) for size in arguments.labels.split(","))
    outcomes, prior = without_source(arguments)
    report = learning_curve(prior, outcomes, sizes, arguments.splits, progress())
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print("| labels | prior | adapted | as written | accepted | PGR at 30 %, prior | adapted |")
    print("|---|---|---|---|---|---|---|")
    for row in report["table"]:
        print(
            f"| {row['labels']:,} | {row['prior']:.3f} | {row['adapted']:.3f} ± {row['adapted_error']:.3f} "
            f"| {row['ends']:.3f} | {row['accepted']} of {row['splits']} "
            f"| {row['prior_pgr']:.3f} | {row['adapted_pgr']:.3f} |"
        )
    table = report["table"]
    lines = {
        name: ([row["labels"] for row in table], [row[key] for row in table], [row[f"{key}_error"] for row in table])
        for name, key in (("adapted", "adapted"), ("as written (held-out check)", "ends"), ("prior", "prior"))
    }
    title = f"Questions of {arguments.source} left out, {arguments.splits} splits"
    draw_lines(lines, arguments.out / "curve.png", x="labels", y="APGR", title=title, log_x=True)
    print(f"wrote {arguments.out}/report.json and curve.png")
    return 0


def _simulate(arguments: argparse.Namespace) -> int:
    try:
        import numpy as np

        from router.learning.policy import Training
        from router.learning.simulation import Plan, estimator_errors, references, simulate, world_of
    except ImportError as error:
        raise Failure(f"{NEEDS_EXTRA} ({error})") from error
    outcomes, prior = without_source(arguments)
    whole = world_of(prior, outcomes, arguments.price)
    plan = Plan(
        rounds=arguments.rounds,
        judge_rounds=max(1, arguments.rounds // 3),
        batch=arguments.batch,
        explore=arguments.explore,
    )
    learned = arguments.rounds * arguments.batch
    if learned + 100 > len(outcomes):
        raise Failure(f"{len(outcomes)} questions are too few to serve {learned} and test")
    trainings = {
        "both rewards": Training(),
        "without the judge reward": Training(judge_weight=0),
        "without the answer reward": Training(answer_weight=0),
    }
    tell = progress()
    report: dict[str, Any] = {"price": arguments.price, "explore": arguments.explore, "runs": []}
    arguments.out.mkdir(parents=True, exist_ok=True)

    def write() -> None:
        (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")

    for seed in range(arguments.seeds):
        order = np.random.default_rng(seed).permutation(len(outcomes))
        served, test = whole.rows(order[:learned]), whole.rows(order[learned:])
        for name, training in trainings.items():
            tell(f"seed {seed}: {name}", 0, 1)
            report["runs"].append({"seed": seed, "name": name, **simulate(served, test, plan, training, seed)})
            write()
        tell(f"seed {seed}: references", 0, 1)
        for name, facts in references(served, test, min(learned, 2000), seed).items():
            report["runs"].append({"seed": seed, "name": name, "final": facts})
        write()
    tell("estimators", 0, 1)
    sizes = sorted({max(40, learned // 12), learned // 3, learned})
    report["estimators"] = estimator_errors(whole, plan, sizes, arguments.repeats, 0)
    write()
    _draw_simulation(report, arguments.out)
    return 0


def _draw_simulation(report: dict[str, Any], out: Path) -> None:
    import numpy as np

    from router.learning.plots import draw_lines

    print("| policy | think ratio | accuracy | utility |\n|---|---|---|---|")
    for name in dict.fromkeys(run["name"] for run in report["runs"]):
        own = [run["final"] for run in report["runs"] if run["name"] == name]
        cells = [np.array([facts[key] for facts in own]) for key in ("think_ratio", "accuracy", "utility")]
        print(
            f"| {name} | "
            + " | ".join(f"{c.mean():.3f} ± {c.std(ddof=1) if len(c) > 1 else 0:.3f}" for c in cells)
            + " |"
        )
    print(
        "\n| log | IPS | SNIPS | outcome model | doubly robust | its 95 % interval holds the truth |\n"
        "|---|---|---|---|---|---|"
    )
    for row in report["estimators"]:
        numbers = " | ".join(f"{row[key]:.4f}" for key in ("ips", "snips", "direct", "doubly robust"))
        print(f"| {row['log']:,} | {numbers} | {row['coverage']:.0%} |")
    both = [run["rounds"] for run in report["runs"] if run["name"] == "both rewards"]
    count = min(len(rounds) for rounds in both)
    across = list(range(count))
    lines = {}
    for name, key in (("think ratio", "think_ratio"), ("accuracy", "accuracy"), ("utility", "utility"),
                      ("judge reward", "judge_reward"), ("answer reward", "answer_reward")):  # fmt: skip
        table = np.array([[entry.get(key, np.nan) for entry in rounds[:count]] for rounds in both])
        spread = table.std(0, ddof=1) if len(both) > 1 else np.zeros(count)
        lines[name] = (across, table.mean(0).tolist(), spread.tolist())
    draw_lines(lines, out / "training.png", x="round", y="on left-out questions; rewards on the log",
               title="Two-reward training from one outcome a question")  # fmt: skip
    utilities: dict[str, Any] = {
        name: (
            list(range(len(runs[0]))),
            np.mean([[entry["utility"] for entry in rounds[: len(runs[0])]] for rounds in runs], 0).tolist(),
            [],
        )
        for name in ("both rewards", "without the judge reward", "without the answer reward")
        if (runs := sorted((run["rounds"] for run in report["runs"] if run["name"] == name), key=len))
    }
    draw_lines(
        utilities, out / "ablations.png", x="round", y="utility on left-out questions", title="Without each reward"
    )
    print(f"wrote {out}/report.json, training.png and ablations.png")
