"""`thinkgate judge …`: train, evaluate, calibrate, explain, score; judge_learning.py has more. Knows arguments only."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from app.cli import judge_escalation, judge_learning, judge_studies
from app.cli.lines import lines_of
from router.conversation import read_conversation
from router.judges import JUDGE_KINDS, Judge, JudgeError, load_judge
from router.judges.batch import BadRow, RowError, conversation_of, read_row, score_rows
from router.judges.threshold import Choice, Outcome, for_min_quality, for_think_ratio, for_token_budget

LABEL_HEAD, LABEL_REFUSED = "thinkgate_label", "error"
_NEEDS_EXTRA = "this command needs the training extra: pip install 'thinkgate[train]'"


class _Failure(Exception):
    """A problem told in one line; exit status 2."""


def add_parser(subparsers: Any) -> None:
    """Add `judge` and its commands to the command line."""
    parser = subparsers.add_parser("judge", help="train, evaluate, calibrate, explain, or score with the judge")
    commands = parser.add_subparsers(dest="judge_command", metavar="COMMAND", required=True)

    train = commands.add_parser("train", help="train the linear judge from data files")
    train.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="directory of .jsonl or .jsonl.zst files"
    )
    train.add_argument(
        "--extra", type=Path, action="append", default=[], metavar="FILE", help="rows of your own traffic"
    )
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the weights and their card go")
    train.add_argument(
        "--calibrated-like",
        type=Path,
        default=None,
        metavar="DIR",
        help="take calibration and metrics from this judge instead of leaving each source out (seconds, not minutes)",
    )
    train.add_argument("--version", default=None, help="the version that answers will name")
    train.set_defaults(run=_guarded(_train))

    evaluate = commands.add_parser(
        "evaluate", help="measure a judge beside its baselines; numbers as JSON, plots as PNG"
    )
    evaluate.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="FILE", help="files, or directories of them"
    )
    evaluate.add_argument("--out", type=Path, default=None, metavar="DIR", help="where report.json and the plots go")
    evaluate.add_argument(
        "--weights", type=Path, default=None, metavar="DIR", help="other weights for the linear judge"
    )
    evaluate.add_argument(
        "--left-out",
        choices=["source", "family"],
        default=None,
        help="retrain without each source (or family of sources that share questions) and measure on it",
    )
    evaluate.set_defaults(run=_guarded(_evaluate))

    calibrate = commands.add_parser("calibrate", help="choose a threshold from your own prompts")
    calibrate.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="JSON lines with `prompt` or `messages`"
    )
    goal = calibrate.add_mutually_exclusive_group(required=True)
    goal.add_argument("--think-ratio", type=float, metavar="R", help="share of prompts that shall think, e.g. 0.35")
    goal.add_argument("--min-quality", type=float, metavar="Q", help="share of always-thinking accuracy, e.g. 0.98")
    goal.add_argument("--token-budget", type=float, metavar="N", help="mean answer tokens per prompt")
    calibrate.add_argument("--profile", default="default", help="name of the profile in the fragment")
    calibrate.add_argument("--out", type=Path, default=None, metavar="FILE", help="write the YAML fragment here too")
    _judge_arguments(calibrate)
    calibrate.set_defaults(run=_guarded(_calibrate))

    explain = commands.add_parser("explain", help="what moved the score of a prompt")
    explain.add_argument("prompt", help="the prompt, or - for standard input")
    explain.add_argument("--json", action="store_true", help="as one JSON object")
    _judge_arguments(explain)
    explain.set_defaults(run=_guarded(_explain))

    score = commands.add_parser("score", help="score JSON lines; bad rows are reported and skipped (exit status 1)")
    score.add_argument(
        "--input", required=True, metavar="IN.jsonl", help="rows {id, prompt} or {id, messages}; - for stdin"
    )
    score.add_argument("--output", required=True, metavar="OUT.jsonl", help="rows {id, score, mode}; - for stdout")
    score.add_argument("--threshold", type=float, default=0.5, help="thinking from this score on (default 0.5)")
    score.add_argument(
        "--ray",
        action="store_true",
        help="by all processors of a Ray cluster (RAY_ADDRESS, else a local one); extra `ray`",
    )
    _judge_arguments(score)
    score.set_defaults(run=_guarded(_score))
    judge_learning.add_commands(commands)
    judge_escalation.add_commands(commands)
    judge_studies.add_commands(commands)


def _judge_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--judge", choices=sorted(JUDGE_KINDS), default="linear", help="default: linear")
    parser.add_argument("--weights", type=Path, default=None, metavar="DIR", help="directory of other weights")


def _guarded(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command with its foreseeable failures told in one line."""

    def run(arguments: argparse.Namespace) -> int:
        try:
            return command(arguments)
        except (_Failure, JudgeError, OSError, ValueError) as error:
            print(f"thinkgate: {error}", file=sys.stderr)
            return 2

    return run


def _load(arguments: argparse.Namespace) -> Judge:
    return load_judge(arguments.judge, **_options(arguments))


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"path": arguments.weights.resolve()} if arguments.weights is not None else {}


def _train(arguments: argparse.Namespace) -> int:
    try:
        from router.training import recipe
    except ImportError as error:
        raise _Failure(f"{_NEEDS_EXTRA} ({error})") from error
    options = {"version": arguments.version} if arguments.version else {}
    card = recipe.train(
        arguments.data,
        arguments.out,
        arguments.extra,
        calibrated_like=arguments.calibrated_like,
        progress=_progress(),
        **options,
    )
    rows = sum(source["rows"] for source in card["sources"])
    print(f"{card['name']}@{card['version']}: {rows} rows of {len(card['sources'])} sources -> {arguments.out}")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    try:
        from router.judges.linear import LinearJudge
        from router.judges.weights import EMBEDDED
        from router.training import report as reports
        from router.training.dataset import data_files, read_examples
        from router.training.holdout import fold_of
        from router.training.plots import draw_report
        from router.training.tables import table_of
    except ImportError as error:
        raise _Failure(f"{_NEEDS_EXTRA} ({error})") from error
    files = [file for path in arguments.data for file in (data_files(path) if path.is_dir() else [path])]
    examples = read_examples(files)
    if not examples:
        raise _Failure("the files hold no prompt")
    if arguments.left_out is None:
        report = reports.judge_report(examples, LinearJudge.load(arguments.weights or EMBEDDED))
    else:
        fold = fold_of if arguments.left_out == "source" else reports.family_of
        report = reports.left_out_report(examples, fold=fold, progress=_progress("leaving out "))
    print(table_of(report))
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        for path in [arguments.out / "report.json", *draw_report(report, arguments.out)]:
            print(f"wrote {path}")
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    judge = _load(arguments)
    scores: list[float] = []
    outcomes: list[Outcome] = []
    with arguments.data.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = read_row(line)
                if LABEL_HEAD in row or (LABEL_REFUSED in row and "instruct_correct" not in row):
                    continue  # of a file that `thinkgate label` wrote: its first line, or a prompt that was refused
                scores.append(judge.score(conversation_of(row)).score)
                outcomes += _outcome(row)
            except RowError as error:
                raise _Failure(f"{arguments.data}:{number}: {error}") from None
    if not scores:
        raise _Failure(f"{arguments.data}: no rows")
    complete = outcomes if len(outcomes) == len(scores) else None
    if arguments.think_ratio is not None:
        choice = for_think_ratio(scores, arguments.think_ratio, complete)
    elif complete is None:
        raise _Failure("this goal needs `instruct_correct` and `thinking_correct` (0 to 1) in every row")
    elif arguments.min_quality is not None:
        choice = for_min_quality(scores, arguments.min_quality, complete)
    else:
        choice = for_token_budget(scores, arguments.token_budget, complete)
    fragment = _fragment(arguments.profile, choice, f"{judge.name}@{judge.version}", len(scores))
    print(fragment, end="")
    if arguments.out is not None:
        arguments.out.write_text(fragment, "utf-8")
    return 0


def _outcome(row: Any) -> list[Outcome]:
    """The outcome in a row, as an empty list where there is none; raises RowError where it is no number."""
    if row.get("instruct_correct") is None or row.get("thinking_correct") is None:
        return []
    names = ("instruct_correct", "thinking_correct", "instruct_tokens", "thinking_tokens")
    values = [row.get(name) for name in names]
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise RowError(f"{', '.join(names)} must be numbers")
    instruct, thinking, instruct_tokens, thinking_tokens = (None if value is None else float(value) for value in values)
    return [Outcome(instruct or 0.0, thinking or 0.0, instruct_tokens, thinking_tokens)]


def _fragment(profile: str, choice: Choice, judge: str, rows: int) -> str:
    """A profile fragment in YAML, with what it did on the calibration traffic as a comment."""
    facts = [f"{choice.think_ratio:.1%} of {rows} prompts think"]
    if choice.quality is not None:
        facts.append(f"{choice.quality:.1%} of always-thinking accuracy")
    if choice.tokens is not None:
        facts.append(f"{choice.tokens:.0f} answer tokens per prompt")
    threshold = min(1.0, round(choice.threshold, 4))
    return f"# chosen with {judge}: {', '.join(facts)}\nprofiles:\n  {profile}: {{threshold: {threshold}}}\n"


def _explain(arguments: argparse.Namespace) -> int:
    judge = _load(arguments)
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    judgement = judge.explain(read_conversation([{"role": "user", "content": prompt}]))
    if arguments.json:
        features = [{"name": feature.name, "push": feature.push} for feature in judgement.features]
        print(json.dumps({"score": judgement.score, "judge": f"{judge.name}@{judge.version}", "features": features}))
        return 0
    print(f"{judgement.score:.3f}  P(thinking helps), by {judge.name}@{judge.version}")
    for feature in judgement.features:
        print(f"  {feature.push:+.2f}  {feature.name}")
    return 0


def _score(arguments: argparse.Namespace) -> int:
    name, to = arguments.input, arguments.output
    if name != "-" and to != "-" and Path(name).resolve() == Path(to).resolve():
        raise _Failure("--input and --output are the same file")
    if arguments.ray and name == "-":
        raise _Failure("--ray needs a file as --input: every process reads its own part")
    scored = _scored_by_ray(arguments) if arguments.ray else _scored(arguments)  # fails before the output is touched
    good = bad = 0
    with closing(scored), nullcontext(sys.stdout) if to == "-" else Path(to).open("w", encoding="utf-8") as sink:
        for text, count, problems in scored:
            good += count
            bad += len(problems)
            sink.write(text)
            for problem in problems:
                print(f"{name}:{problem}", file=sys.stderr)
        sink.flush()
    if bad:
        print(f"thinkgate: {bad} of {good + bad} rows could not be scored", file=sys.stderr)
    return 1 if bad else 0


_Scored = Generator[tuple[str, int, list[str]]]
"""Text of good rows, their number, and problems with their lines."""


def _scored(arguments: argparse.Namespace) -> _Scored:
    """One row at a time."""
    judge, name = _load(arguments), arguments.input
    source: BinaryIO = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115  closed by the generator

    def rows() -> _Scored:
        with source:
            for row in score_rows(judge, lines_of(source), arguments.threshold):
                if isinstance(row, BadRow):
                    yield "", 0, [f"{row.line}: {row.problem}"]
                else:
                    yield row.to_json() + "\n", 1, []

    return rows()


def _scored_by_ray(arguments: argparse.Namespace) -> _Scored:
    """A part of the file at a time."""
    _load(arguments)  # what cannot be loaded is told here, not by a process of the cluster
    path = Path(arguments.input).resolve()
    path.open("rb").close()
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise _Failure(f"--ray needs the extra `ray`: pip install 'thinkgate[ray]' ({error})") from error
    from app.cli.judge_on_ray import score_on_ray

    def rows() -> _Scored:
        done = 0
        for part in score_on_ray(path, arguments.judge, _options(arguments), arguments.threshold):
            done += part["good"]
            yield part["text"], part["good"], part["bad"].splitlines()
            print(f"{done:,} rows", end="\r", file=sys.stderr, flush=True)
        print(file=sys.stderr)

    return rows()


def _progress(prefix: str = "") -> Callable[[str, int, int], None]:
    started = time.perf_counter()

    def tell(step: str, done: int, total: int) -> None:
        count = f" ({done + 1}/{total})" if total > 1 else ""
        print(f"{time.perf_counter() - started:7.1f} s  {prefix}{step}{count}", file=sys.stderr, flush=True)

    return tell
