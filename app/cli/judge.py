"""`thinkgate judge …`: train, evaluate, calibrate, explain, score. Knows arguments and terminals; the work is elsewhere."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from router.conversation import read_conversation
from router.judges import JUDGE_KINDS, JudgeError, load_judge

_NEEDS_EXTRA = "this command needs the training extra: pip install 'thinkgate[train]'"


def add_parser(subparsers: Any) -> None:
    """Add `judge` and its commands to the command line."""
    parser = subparsers.add_parser("judge", help="train, evaluate, calibrate, explain, or score with the judge")
    commands = parser.add_subparsers(dest="judge_command", metavar="COMMAND", required=True)
    _add_train(commands)
    _add_explain(commands)


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train the linear judge from data files")
    train.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="directory of .jsonl or .jsonl.zst files"
    )
    train.add_argument(
        "--extra", type=Path, action="append", default=[], metavar="FILE", help="more rows; may be repeated"
    )
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the weights and their card go")
    train.add_argument("--version", default=None, help="the version that answers will name")
    train.set_defaults(run=_train)


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser("explain", help="what moved the score of a prompt")
    _judge_arguments(explain)
    explain.add_argument("prompt", help="the prompt, or - for standard input")
    explain.set_defaults(run=_explain)


def _judge_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--judge", choices=sorted(JUDGE_KINDS), default="linear", help="default: linear")
    parser.add_argument("--weights", type=Path, default=None, metavar="DIR", help="other weights for the linear judge")


def _load(arguments: argparse.Namespace) -> Any:
    options = {"path": arguments.weights} if arguments.weights is not None else {}
    return load_judge(arguments.judge, **options)


def _train(arguments: argparse.Namespace) -> int:
    try:
        from router.training import recipe
    except ImportError as error:
        print(f"thinkgate: {_NEEDS_EXTRA} ({error})", file=sys.stderr)
        return 2
    started = time.perf_counter()

    def progress(step: str, done: int, total: int) -> None:
        print(f"{time.perf_counter() - started:7.1f} s  {step}" + (f" ({done + 1}/{total})" if total > 1 else ""))

    options = {"version": arguments.version} if arguments.version else {}
    recipe.train(arguments.data, arguments.out, arguments.extra, progress=progress, **options)
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    try:
        judge = _load(arguments)
    except JudgeError as error:
        print(f"thinkgate: {error}", file=sys.stderr)
        return 2
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    judgement = judge.explain(read_conversation([{"role": "user", "content": prompt}]))
    print(f"{judgement.score:.3f}  P(thinking helps), by {judge.name}@{judge.version}")
    for feature in judgement.features:
        print(f"  {feature.push:+.2f}  {feature.name}")
    return 0
