"""`thinkgate judge adapt`, `learn` and `promote`. Knows arguments; the work is in app/learning and router/learning."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.learning.files import FileTrouble
from app.learning.judge_folder import NoEvidence, read_evidence, write_judge
from app.learning.store import JudgeStore
from router.judges import JudgeError
from router.judges.linear import LinearJudge
from router.judges.weights import EMBEDDED

NEEDS_EXTRA = "this command needs the training extra: pip install 'thinkgate[train]'"


class Failure(Exception):
    """A problem told in one line; exit status 2."""


def guarded(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command with its foreseeable failures told in one line."""

    def run(arguments: argparse.Namespace) -> int:
        try:
            return command(arguments)
        except (Failure, NoEvidence, FileTrouble, JudgeError, OSError, ValueError) as error:
            print(f"thinkgate: {error}", file=sys.stderr)
            return 2

    return run


def add_commands(commands: Any) -> None:
    """Add the commands to `thinkgate judge`."""
    adapt = commands.add_parser("adapt", help="fit the judge to your own pair's outcomes; kept only where it is better")
    adapt.add_argument("--labels", type=Path, nargs="+", required=True, metavar="FILE", help="what `label` wrote")
    adapt.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the judge and its report go")
    adapt.add_argument(
        "--prior", type=Path, default=EMBEDDED, metavar="DIR", help="begin with this judge (default: shipped)"
    )
    adapt.add_argument("--price", type=float, default=0.0, metavar="λ", help="utility = correct − λ × cost (default 0)")
    adapt.add_argument(
        "--unit", choices=["tokens", "seconds"], default="tokens", help="cost in thousands of tokens, or in seconds"
    )
    goal = adapt.add_mutually_exclusive_group()
    goal.add_argument("--think-ratio", type=float, metavar="R", help="share of prompts that shall think, e.g. 0.35")
    goal.add_argument("--token-budget", type=float, metavar="N", help="mean answer tokens per prompt")
    adapt.add_argument(
        "--at-threshold", type=float, default=None, metavar="T",
        help="shift the scores so that the chosen threshold becomes T: a profile's own stays what it is",
    )  # fmt: skip
    adapt.add_argument("--seed", type=int, default=0, help="of the held-out folds (default 0)")
    adapt.set_defaults(run=guarded(_adapt))

    learn = commands.add_parser("learn", help="fit the judge to a decision log with exploration and feedback")
    learn.add_argument(
        "--log",
        required=True,
        metavar="LOG",
        help="the decision log: SQLite's file, or postgresql://… as decisions.url",
    )
    learn.add_argument(
        "--since", type=float, default=0.0, metavar="T",
        help="only decisions from then on, in seconds since 1970, such as the last promotion",
    )  # fmt: skip
    learn.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the judge and its report go")
    learn.add_argument(
        "--prior", type=Path, default=EMBEDDED, metavar="DIR", help="the judge that logged (default: shipped)"
    )
    learn.add_argument("--price", type=float, default=0.0, metavar="λ", help="of a thousand tokens (default 0)")
    learn.add_argument("--seed", type=int, default=0, help="of the held-out folds (default 0)")
    learn.set_defaults(run=guarded(_learn))

    promote = commands.add_parser("promote", help="put a judge in force, if its evidence holds; or go back")
    promote.add_argument("judge", type=Path, nargs="?", metavar="DIR", help="a judge's directory with its report")
    promote.add_argument(
        "--store", type=Path, required=True, metavar="STORE", help="judge.path names STORE/current (docs/learning.md)"
    )
    promote.add_argument("--back", action="store_true", help="put in force what the present judge replaced")
    promote.add_argument(
        "--without-evidence", action="store_true", help="for a first judge, or one whose worth is known otherwise"
    )
    promote.set_defaults(run=guarded(_promote))


def progress() -> Callable[[str, int, int], None]:
    """Steps with seconds, on the terminal."""
    started = time.perf_counter()

    def tell(step: str, done: int, total: int) -> None:
        count = f" ({done + 1}/{total})" if total > 1 else ""
        print(f"{time.perf_counter() - started:7.1f} s  {step}{count}", file=sys.stderr, flush=True)

    return tell


def _adapt(arguments: argparse.Namespace) -> int:
    try:
        from router.learning.goal import Goal
        from router.learning.outcomes import Utility, read_outcomes
        from router.learning.pair_judge import adapt, at_threshold, save
        from router.learning.plots import draw_adaptation
        from router.training.dataset import read_rows
    except ImportError as error:
        raise Failure(f"{NEEDS_EXTRA} ({error})") from error
    if arguments.out.exists():
        raise Failure(f"{arguments.out} is there already; name another directory, or remove it")
    outcomes = read_outcomes(row for path in arguments.labels for row in read_rows(path))
    goal = Goal(Utility(arguments.price, arguments.unit), arguments.think_ratio, arguments.token_budget)
    made = adapt(LinearJudge.load(arguments.prior).weights, outcomes, goal, arguments.seed, progress())
    if arguments.at_threshold is not None:
        made = at_threshold(made, arguments.at_threshold)

    def fill(directory: Path) -> None:
        save(directory, made.weights)
        draw_adaptation(made.report, directory / "adaptation.png")

    write_judge(arguments.out, made.report, fill)
    report, verdict, here = made.report, made.report["check"], made.report["operation"]
    found = f"{verdict['difference']:+.4f} ± {verdict['standard_error']:.4f} mean utility over all think ratios"
    if report["kept_prior"]:
        print(f"the prior is kept: {len(outcomes)} labels do not show that adapting it helps ({found}, held out)")
    else:
        print(f"adapted to {len(outcomes)} labels: {found}, held out")
    print(
        f"at threshold {report['threshold']:.4f}: {here['think_ratio']:.1%} think, {here['correct']:.1%} correct "
        f"(never thinking {report['never_thinking']['correct']:.1%}, always {report['always_thinking']['correct']:.1%})"
    )
    print(f"wrote {arguments.out} ({report['judge']})")
    return 0


def _learn(arguments: argparse.Namespace) -> int:
    try:
        import numpy as np

        from app.learning.logged import read_explored
        from router.judges.batch import conversation_of
        from router.learning.bandit import Feedback
        from router.learning.logged_policy import learn
        from router.learning.outcomes import Utility
        from router.learning.pair_judge import save
        from router.learning.policy import Training
    except ImportError as error:
        raise Failure(f"{NEEDS_EXTRA} ({error})") from error
    if arguments.out.exists():
        raise Failure(f"{arguments.out} is there already; name another directory, or remove it")
    rows = read_explored(arguments.log, arguments.since)
    columns = {
        name: np.array([row[name] for row in rows], float) for name in ("thinks", "propensity", "correct", "tokens")
    }
    rewards = columns["correct"] - Utility(arguments.price).price * columns["tokens"] / 1000
    feedback = Feedback(columns["thinks"], columns["propensity"], rewards, columns["tokens"])
    prior = LinearJudge.load(arguments.prior).weights
    made = learn(prior, [conversation_of(row) for row in rows], feedback, Training(), arguments.seed, progress())
    report, verdict = made.report, made.report["check"]
    found = (
        f"{verdict['difference']:+.4f} ± {verdict['standard_error']:.4f} mean utility (doubly robust, held out), "
        f"think ratio {report['think_ratio_logged']:.1%} -> {report['think_ratio']:.1%}"
    )
    if report["kept_prior"]:
        print(f"nothing is written: {len(rows)} decisions do not show that another policy is better ({found})")
        return 1
    write_judge(arguments.out, report, lambda directory: save(directory, made.weights))
    print(f"learned from {len(rows)} decisions, {report['explored']} of them explored: {found}")
    print(f"wrote {arguments.out} ({report['judge']}); its threshold is 0.5")
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    store = JudgeStore(arguments.store)
    if arguments.back == (arguments.judge is not None):
        raise Failure("name a judge's directory, or give --back")
    if arguments.back:
        version = store.back()
    else:
        judge = LinearJudge.load(arguments.judge)
        present = store.current()
        if not arguments.without_evidence:
            report = read_evidence(arguments.judge)
            if present is not None:
                champion = LinearJudge.load(present.path)
                if report.get("prior") != f"{champion.name}@{champion.version}":
                    raise NoEvidence(
                        f"it was compared with {report.get('prior')}, but {champion.name}@{champion.version} is in "
                        f"force: adapt with --prior {store.link}"
                    )
        version = store.promote(arguments.judge)
        del judge
    found = LinearJudge.load(version.path)
    print(f"in force: {found.name}@{found.version} ({version.path.name}; before it: {version.replaced or 'none'})")
    print("a gateway whose judge.path is this store's link takes it within two seconds, or at SIGHUP")
    return 0
