"""`thinkgate label`: prompts through both modes, graded. Knows arguments; the work is in app/learning."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

from app.config_file import load_settings
from app.settings import Decisions
from router.judges.batch import RowError, conversation_of, read_row


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = commands.add_parser(
        "label",
        help="run prompts through both modes and grade the answers",
        description="Ask both modes every prompt, grade the answers, and write correctness, tokens and seconds as JSON "
        "lines. Run the same command again after an interruption: it goes on where it was.",
    )
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="JSON lines: id, prompt or messages, answer, …")
    parser.add_argument(
        "--logged", metavar="LOG", help="prompts kept in this decision log instead: SQLite's file, or postgresql://…"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the labels go, as JSON lines")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--config", metavar="FILE", help="ask the backends of this configuration, without its gateway")
    target.add_argument("--url", help="ask a gateway that runs, such as http://127.0.0.1:8080")
    parser.add_argument("--key", default="", metavar="KEY", help="the gateway's key (or THINKGATE_KEY)")
    parser.add_argument("--model", default="auto", help="the route whose modes are asked (default: auto)")
    parser.add_argument(
        "--grader", required=True, help="exact, number, choice, regex, schema, FILE.py:FUNCTION, or model"
    )
    parser.add_argument("--grading-model", default="", metavar="NAME", help="the model that compares (--grader model)")
    parser.add_argument("--samples", type=int, default=1, metavar="K", help="answers of each mode (default 1)")
    parser.add_argument("--temperature", type=float, default=None, help="of the answers (default: the family's)")
    parser.add_argument("--max-tokens", type=int, default=None, help="of an answer, thinking included")
    parser.add_argument("--concurrency", type=int, default=8, help="prompts in work at a time (default 8)")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one answer (default 600)")
    parser.add_argument(
        "--logprobs", type=int, default=0, metavar="N",
        help="keep the log-probabilities of each instruct answer's first N tokens, for `judge escalation` (default 0)",
    )  # fmt: skip
    parser.add_argument("--keep-answers", action="store_true", help="keep the answers' texts too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Label; the exit status."""
    from app.learning.backends import Unreachable
    from app.learning.files import FileTrouble
    from app.learning.graders import BrokenGrader

    try:
        return asyncio.run(_run(arguments))
    except (BrokenGrader, Unreachable, FileTrouble, RowError, OSError) as error:
        print(f"\nthinkgate: {error}", file=sys.stderr)
        if isinstance(error, BrokenGrader | Unreachable) and arguments.out.exists():
            print(
                f"thinkgate: what was done is in {arguments.out}; the same command goes on from there", file=sys.stderr
            )
        return 2


async def _run(arguments: argparse.Namespace) -> int:
    from app.learning.backends import Backends
    from app.learning.graders import BrokenGrader, grader_named
    from app.learning.journal import Journal
    from app.learning.labeller import Labeller, Progress
    from app.learning.logged import read_prompts

    compares = arguments.grader == "model"
    if compares != bool(arguments.grading_model):
        raise BrokenGrader("--grader model needs --grading-model, and no other grader takes it")
    if min(arguments.samples, arguments.concurrency) < 1 or arguments.logprobs < 0:
        raise RowError("--samples and --concurrency begin at 1, --logprobs at 0")
    grader = None if compares else grader_named(arguments.grader)
    rows = read_prompts(arguments.logged) if arguments.logged else _rows(arguments.prompts)
    options = {"temperature": arguments.temperature, "max_tokens": arguments.max_tokens}
    options = {name: value for name, value in options.items() if value is not None}
    settings = {"grader": arguments.grader, "samples": arguments.samples, "model": arguments.model, **options}
    if arguments.logprobs:
        settings["logprobs"] = arguments.logprobs
    if compares:
        settings["grading_model"] = arguments.grading_model
    last = 0.0

    def tell(progress: Progress) -> None:
        nonlocal last
        if monotonic() - last >= 1.0:
            last = monotonic()
            print(f"\r{progress}   ", end="", file=sys.stderr, flush=True)

    with Journal(arguments.out, settings) as journal:
        async with _client(arguments) as client:
            backends = Backends(client, arguments.model, options)
            labeller = Labeller(
                backends,
                grader,
                compared_by=arguments.grading_model,
                samples=arguments.samples,
                logprobs=arguments.logprobs,
                concurrency=arguments.concurrency,
                keep_answers=arguments.keep_answers,
                tell=tell,
            )
            found = await labeller.run(rows, journal)
    print(f"\r{found}   ", file=sys.stderr)
    print(f"{len(rows)} prompts are labelled in {arguments.out}")
    return 0


@contextlib.asynccontextmanager
async def _client(arguments: argparse.Namespace) -> AsyncIterator[Any]:
    """A client of the gateway that runs, or of one in this process that nobody else can reach."""
    import httpx

    limits = httpx.Limits(max_connections=None)
    if arguments.url:
        key = arguments.key or os.environ.get("THINKGATE_KEY", "")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(
            base_url=arguments.url, headers=headers, timeout=arguments.timeout, limits=limits, trust_env=False
        ) as client:
            yield client
        return
    from app.gateway import create_app

    settings = load_settings(arguments.config)
    app = create_app(settings.model_copy(update={"auth": None, "tenants": {}, "decisions": Decisions(url="")}))
    async with (
        app.api.router.lifespan_context(app.api),
        httpx.AsyncClient(
            base_url="http://in-process", transport=httpx.ASGITransport(app), timeout=arguments.timeout, limits=limits
        ) as client,
    ):
        yield client


def _rows(path: Path | None) -> list[dict[str, Any]]:
    """The prompts of a file, each with an id: its own, or the line's number. Raises RowError or OSError."""
    if path is None:
        raise RowError("name --prompts or --logged")
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = dict(read_row(line))
                conversation_of(row)
            except RowError as error:
                raise RowError(f"{path}:{number}: {error}") from None
            row.setdefault("id", str(number))
            if str(row["id"]) in seen:
                raise RowError(f"{path}:{number}: the id `{str(row['id'])[:80]}` was there before")
            seen.add(str(row["id"]))
            rows.append(row)
    if not rows:
        raise RowError(f"{path}: no prompts")
    return rows
