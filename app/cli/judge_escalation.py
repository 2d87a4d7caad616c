"""`thinkgate judge escalation`: when to drop a draft, from labels. Knows arguments; router/learning does the work."""

import argparse
import json
from pathlib import Path
from typing import Any

from app.cli.judge_learning import NEEDS_EXTRA, Failure, guarded, progress
from router.judges.linear import LinearJudge
from router.judges.weights import EMBEDDED


def add_commands(commands: Any) -> None:
    """Add the command to `thinkgate judge`."""
    parser = commands.add_parser(
        "escalation", help="choose band, tokens and bound of a profile's escalation from labels with log-probabilities"
    )
    parser.add_argument(
        "--labels", type=Path, nargs="+", required=True, metavar="FILE", help="what `label --logprobs` wrote"
    )
    parser.add_argument(
        "--judge", type=Path, default=EMBEDDED, metavar="DIR", help="the judge in force (default: shipped)"
    )
    parser.add_argument(
        "--price", type=float, required=True, metavar="λ", help="utility = correct − λ × thousands of tokens"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="keep the profile's threshold T (default: it is chosen as well)"
    )
    parser.add_argument(
        "--new-kinds",
        action="store_true",
        help="score each prompt as if its `group` were new: by the judge adapted to the labels of all other groups",
    )
    parser.add_argument("--profile", default="default", metavar="NAME", help="name of the profile in the fragment")
    parser.add_argument("--seed", type=int, default=0, help="of the held-out folds (default 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where profile.yaml and the report go")
    parser.set_defaults(run=guarded(_escalation))


def _escalation(arguments: argparse.Namespace) -> int:
    try:
        import numpy as np

        from router.learning.escalation import calibrate, drafts_of
        from router.learning.new_kinds import scores_as_new
        from router.learning.outcomes import Utility, read_outcomes
        from router.learning.plots import draw_escalation
        from router.training.dataset import read_rows
    except ImportError as error:
        raise Failure(f"{NEEDS_EXTRA} ({error})") from error
    if arguments.out.exists():
        raise Failure(f"{arguments.out} is there already; name another directory, or remove it")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise Failure("--threshold lies between 0 and 1")
    price = Utility(arguments.price).price
    tell = progress()
    tell("reading", 0, 1)
    rows = [
        row
        for path in arguments.labels
        for row in read_rows(path)
        if row.get("instruct_correct") is not None and row.get("thinking_correct") is not None
    ]
    outcomes = read_outcomes(rows)
    judge = LinearJudge.load(arguments.judge)
    if arguments.new_kinds:
        tell("leaving groups out", 0, 1)
        scores = scores_as_new(judge.weights, outcomes, Utility(price), arguments.seed)
    else:
        scores = np.array([judge.score(conversation).score for conversation in outcomes.conversations])
    drafts = drafts_of(scores, outcomes, [_logprobs(row) for row in rows])
    tell("trying bounds", 0, 1)
    report = {"judge": f"{judge.name}@{judge.version}", **calibrate(drafts, price, arguments.threshold, arguments.seed)}
    arguments.out.mkdir(parents=True)
    (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    draw_escalation(report, arguments.out / "escalation.png")
    _say(report)
    verdict = report["check"]
    found = (
        f"{verdict['difference']:+.4f} ± {verdict['standard_error']:.4f} mean utility beside the judge alone, held out"
    )
    if not verdict["accepted"]:
        print(f"no profile is written: {len(rows)} labels do not show that escalation helps ({found})")
        return 1
    profile = report["profile"]
    text = f"profiles:\n  {arguments.profile}:\n    threshold: {profile['threshold']}\n    escalation:\n" + "".join(
        f"      {name}: {value}\n" for name, value in profile["escalation"].items()
    )
    (arguments.out / "profile.yaml").write_text(text, "utf-8")
    print(f"escalation helps: {found}\nwrote {arguments.out}/profile.yaml:\n{text}", end="")
    return 0


def _logprobs(row: dict[str, Any]) -> list[float]:
    """The first draft's: one draft is what the gateway watches."""
    samples = row.get("instruct_samples") or [{}]
    return [float(each) for each in samples[0].get("logprobs") or ()]


def _say(report: dict[str, Any]) -> None:
    print("| bound | drafts dropped | right | bought by it | tokens each | of them wasted |\n|---|---|---|---|---|---|")
    for row in report["bounds"]:
        print(
            f"| {row['bound']:.3f} | {row['dropped']:.1%} | {row['correct']:.3f} | {row['bought']:+.3f} "
            f"| {row['tokens']:.1f} | {row['wasted']:.2f} |"
        )
    for name, point in {**report["ends"], **report["held_out"]}.items():
        print(f"{name}: {point['correct']:.3f} right, {point['tokens']:.1f} tokens each")
    areas = ", ".join(f"{name} {value:.3f}" for name, value in report["areas"].items())
    print(f"right answers, a mean over all budgets between the endpoints, held out: {areas}")
