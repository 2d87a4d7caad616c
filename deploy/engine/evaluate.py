"""Ask running servers the evaluation questions and print a markdown table. Knows HTTP and the tasks, no models.

Both models:        evaluate.py --instruct http://127.0.0.1:8191 --thinking http://127.0.0.1:8192
The one that judges itself, then with its verdict given:    evaluate.py --kat http://127.0.0.1:8193
The gateway:        evaluate.py --url http://127.0.0.1:8080 --model auto
Standard library only, so that any Python can run it beside any server.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import dialogues
import tasks

MODE_HEADER = "x-thinkgate-mode"
VERDICT_MODES = {"think_on": "thinking", "think_off": "instruct"}
PREFILLS = {"on": "<judge>\n\n</judge>\n\n<think_on>\n", "off": "<judge>\n\n</judge>\n\n<think_off>\n"}


@dataclass(frozen=True, slots=True)
class Target:
    """A server and the model to ask there; `name` is its column.

    `raw`: the answer comes with its tags, nobody having read them. `prefill` is put in front of the model's answer.
    """

    name: str
    url: str
    model: str
    key: str
    raw: bool = False
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One answer: `mode` as the gateway's header or the model's own verdict said, `tokens` of the completion.

    `seconds` are of the whole request.
    """

    target: str
    id: str
    kind: str
    lang: str
    steps: int
    hard: bool
    correct: bool
    mode: str
    tokens: int
    seconds: float
    finish: str
    content: str | None
    error: str


def call(target: Target, path: str, body: dict | None, timeout_s: float) -> tuple[dict, str]:
    """The JSON answer and the mode header; raises OSError (HTTPError is one) or ValueError."""
    headers = {"content-type": "application/json"}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(target.url.rstrip("/") + path, data, headers)  # noqa: S310 (the operator's URL)
    with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
        return json.load(response), response.headers.get(MODE_HEADER, "")


def first_model(url: str, key: str) -> str:
    listing, _ = call(Target("", url, "", key), "/v1/models", None, 30)
    return listing["data"][0]["id"]


def ask(target: Target, made: tasks.Item, max_tokens: int, timeout_s: float) -> Result:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": made.prompt}],
        "temperature": 0,
        "max_tokens": max_tokens,
    }
    if target.prefill:
        body["messages"].append({"role": "assistant", "content": target.prefill})
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    started, content, mode, tokens, finish, error = time.monotonic(), None, "", 0, "", ""
    try:
        answer, mode = call(target, "/v1/chat/completions", body, timeout_s)
        choice = answer["choices"][0]
        content, finish = choice["message"]["content"], choice["finish_reason"]
        tokens = answer["usage"]["completion_tokens"]
        if target.raw:
            content, verdict = dialogues.read("kat", target.prefill + (content or ""))
            mode = VERDICT_MODES.get(verdict, "")
    except urllib.error.HTTPError as problem:
        error = f"{problem.code} {problem.read(300).decode(errors='replace')}"
    except (OSError, ValueError, KeyError, IndexError, TypeError) as problem:
        error = f"{type(problem).__name__}: {problem}"
    return Result(
        target=target.name,
        id=made.id,
        kind=made.kind,
        lang=made.lang,
        steps=made.steps,
        hard=made.hard,
        correct=not error and tasks.grade(made, content),
        mode=mode,
        tokens=tokens,
        seconds=round(time.monotonic() - started, 4),
        finish=finish,
        content=content,
        error=error,
    )


def ask_all(target: Target, items: list[tasks.Item], args: argparse.Namespace) -> list[Result]:
    """All answers of one target, in the order of the items."""
    started = time.monotonic()
    with ThreadPoolExecutor(args.concurrency) as workers:
        futures = [workers.submit(ask, target, made, args.max_tokens, args.timeout) for made in items]
        for done, _ in enumerate(as_completed(futures), 1):
            if done == len(items) or done % 25 == 0:
                gone = time.monotonic() - started
                print(f"\r{target.name}: {done}/{len(items)}  {gone:.0f} s", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    results = [future.result() for future in futures]
    errors = [result.error for result in results if result.error]
    if errors:
        print(f"{target.name}: {len(errors)} requests failed, the first with: {errors[0]}", file=sys.stderr)
    return results


def mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else float("nan")


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * 2 + ["---:"] * (len(header) - 2), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def grouped(results: list[Result]) -> list[tuple[str, str, Callable[[Result], bool]]]:
    """Rows of a table: every kind and length, then the totals."""
    keys = sorted({(r.hard, r.kind, r.steps) for r in results})
    rows: list[tuple[str, str, Callable[[Result], bool]]] = []
    for hard, kind, steps in keys:
        rows.append((kind, str(steps), lambda r, k=kind, s=steps, h=hard: (r.kind, r.steps, r.hard) == (k, s, h)))
    for label, hard in (("**easy**", False), ("**hard**", True)):
        rows.append((label, "", lambda r, h=hard: r.hard == h))
    rows.append(("**all**", "", lambda r: True))
    return rows


def pair_table(results: dict[str, list[Result]]) -> str:
    """Accuracy and mean completion tokens per kind and length, one pair of columns per model."""
    header = ["kind", "steps", "n"] + [f"{name} {what}" for name in results for what in ("accuracy", "tokens")]
    rows = []
    for kind, steps, belongs in grouped(next(iter(results.values()))):
        cells = {name: [r for r in answers if belongs(r)] for name, answers in results.items()}
        count = len(next(iter(cells.values())))
        if not count:
            continue
        numbers = [f(a) for a in cells.values() for f in (accuracy, tokens)]
        rows.append([kind, steps, str(count), *numbers])
    return table(header, rows)


def gateway_table(results: list[Result]) -> str:
    """What routing, or the model's own verdict, did: accuracy, tokens, share of thinking, agreement with the truth."""
    header = ["kind", "steps", "n", "accuracy", "tokens each", "tokens in all", "thinking", "agreement"]
    rows = []
    for kind, steps, belongs in grouped(results):
        group = [r for r in results if belongs(r)]
        if not group:
            continue
        share = mean(r.mode == "thinking" for r in group)
        agreed = mean((r.mode == "thinking") == r.hard for r in group)
        total = f"{sum(r.tokens for r in group):,}"
        rows.append(
            [kind, steps, str(len(group)), accuracy(group), tokens(group), total, f"{share:.3f}", f"{agreed:.3f}"]
        )
    note = f"\n\nNo answer had a header {MODE_HEADER} or a verdict: is this the right server?"
    return table(header, rows) + ("" if any(r.mode for r in results) else note)


def accuracy(group: list[Result]) -> str:
    return f"{mean(r.correct for r in group):.3f}"


def tokens(group: list[Result]) -> str:
    return f"{mean(r.tokens for r in group):.1f}"


def questions(args: argparse.Namespace) -> list[tasks.Item]:
    if args.band == "evaluation":
        return tasks.evaluation(args.count, args.seed)
    return tasks.generate("eval", args.band, args.count, args.seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruct", metavar="URL", help="server of the instruct model")
    parser.add_argument("--thinking", metavar="URL", help="server of the thinking model")
    parser.add_argument("--kat", metavar="URL", help="server of the model that judges itself")
    parser.add_argument("--url", help="a gateway")
    parser.add_argument("--model", default="auto", help="model to ask of --url (default: auto)")
    parser.add_argument("--api-key", default="", help="sent as a bearer token")
    parser.add_argument("--count", type=int, default=800, help="questions, half of them hard (default: 800)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--band", default="evaluation", choices=["evaluation", *tasks.BANDS], help="default: easy and hard"
    )
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--timeout", type=float, default=120, help="seconds per request")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every answer there")
    args = parser.parse_args()
    if not (args.instruct or args.thinking or args.kat or args.url):
        parser.error("give --instruct and/or --thinking, or --kat, or --url")
    items = questions(args)
    pair: dict[str, list[Result]] = {}
    for name in ("instruct", "thinking"):
        if url := getattr(args, name):
            pair[name] = ask_all(Target(name, url, first_model(url, args.api_key), args.api_key), items, args)
    everything = [result for answers in pair.values() for result in answers]
    if pair:
        print(pair_table(pair))
    if args.kat:
        kat = Target("kat", args.kat, first_model(args.kat, args.api_key), args.api_key, raw=True)
        own = ask_all(kat, items, args)
        given = {n: ask_all(replace(kat, name=n, prefill=text), items, args) for n, text in PREFILLS.items()}
        everything += [*own, *given["on"], *given["off"]]
        print(gateway_table(own))
        print(pair_table({f"verdict {n} given:": answers for n, answers in given.items()}))
    if args.url:
        routed = ask_all(Target("gateway", args.url, args.model, args.api_key), items, args)
        everything += routed
        print(gateway_table(routed))
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in everything], ensure_ascii=False, indent=1))
    return 1 if any(result.error for result in everything) else 0


if __name__ == "__main__":
    raise SystemExit(main())
