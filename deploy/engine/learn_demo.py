"""The whole loop on the miniature pair, unattended: label, adapt, explore, learn, promote, measure. Knows the order.

    python deploy/engine/learn_demo.py --out .run/learn-demo

Real vLLM servers answer everything. The prior is the shipped judge, which has seen none of these tasks. Labels are of
some families and lengths; what is measured are others, which neither the prior nor the labels contain.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import Namespace
from pathlib import Path
from typing import Any

import evaluate
import tasks

ROOT = Path(__file__).parents[2]
ENGINE = Path(__file__).parent
LEARNED = (*(("digit", steps) for steps in (1, 2, 3, 4, 5)), ("sum", 2), ("sum", 3), ("capital", 0), ("copy", 0))
"""Families and lengths (steps) that labels and traffic hold."""

MEASURED = (
    *(("digit", steps) for steps in (7, 8, 9, 10)),
    ("sum", 4),
    ("sum", 5),
    *[("translate", 0)] * 5,
    *[("recite", 0)] * 4,
    *[("unknown", 0)] * 2,
    ("colour", 0),
)
"""Others: about a third needs thinking. Reciting is what thinking makes worse."""


def items(which: Any, count: int, seed: int, split: str) -> list[tasks.Item]:
    """Different questions of the families and lengths, English and Chinese."""
    rng, found, misses = random.Random(f"{seed}/{split}"), {}, 0
    while len(found) < count and misses < 50 * count:
        kind, steps = rng.choice(which)
        made = tasks.item(tasks.MAKERS[kind](rng, rng.choice(("en", "zh")), steps), split)
        if made is None or made.prompt in found:
            misses += 1
            continue
        found[made.prompt] = made
    return list(found.values())


class Loop:
    """The gateway's address, the directory of everything, and the commands."""

    def __init__(self, out: Path, port: int) -> None:
        self.out = out
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.store = out / "judges"
        self.gateway: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: object, may_fail: bool = False) -> int:
        """`thinkgate …`, its words on the terminal."""
        print(f"\n$ thinkgate {' '.join(map(str, arguments))}", flush=True)
        done = subprocess.run([sys.executable, "-m", "app", *map(str, arguments)], cwd=ROOT, check=False)
        if done.returncode and not may_fail:
            raise SystemExit(f"`thinkgate {arguments[0]}` ended with {done.returncode}")
        return done.returncode

    def start(self, explore: float) -> None:
        """Both models and the gateway; returns when they answer."""
        config = self.out / "thinkgate.yaml"
        database = self.out / "decisions.db"
        config.write_text(
            json.dumps(
                {
                    "judge": {"kind": "linear", "path": str(self.store / "current")},
                    "profiles": {"default": {"explore": explore}},
                    "decisions": {"url": f"sqlite:///{database}", "store_prompts": True},
                }
            )
        )
        command = ["up", "--instruct", ENGINE / "instruct", "--thinking", ENGINE / "thinking", "--config", config]
        command += ["--port", self.port, "--log-dir", self.out / "logs"]
        with (self.out / "up.log").open("wb") as log:
            self.gateway = subprocess.Popen(
                [sys.executable, "-m", "app", *map(str, command)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + 600
        while time.monotonic() < until and self.gateway.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2):  # noqa: S310
                    return
            except OSError:
                time.sleep(1)
        raise SystemExit(f"the pair did not start; see {self.out / 'up.log'}")

    def stop(self) -> None:
        """End the models and the gateway."""
        if self.gateway is not None and self.gateway.poll() is None:
            self.gateway.send_signal(signal.SIGINT)
            try:
                self.gateway.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.gateway.pid, signal.SIGKILL)

    def judge(self) -> str:
        """The version of the judge in force, as the gateway says."""
        return str(self._get("/version").get("judge", ""))

    def traffic(self, questions: list[tasks.Item], model: str = "auto") -> list[evaluate.Result]:
        """Ask the gateway; raises SystemExit where a request failed."""
        arguments = Namespace(max_tokens=256, timeout=300, concurrency=16)
        found = evaluate.ask_all(evaluate.Target(model, self.url, model, ""), questions, arguments)
        if any(result.error for result in found):
            raise SystemExit("the pair stopped answering")
        return found

    def feedback(self, results: list[evaluate.Result], ids: list[str]) -> None:
        """Tell the gateway which answers were right."""
        for result, decision in zip(results, ids, strict=True):
            verdict = "good_fit" if result.correct else "failed"
            body = {"decision_id": decision, "verdict": verdict, "correct": result.correct}
            request = urllib.request.Request(  # noqa: S310
                f"{self.url}/v1/feedback", json.dumps(body).encode(), {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=30):  # noqa: S310
                pass

    def decisions_by_prompt(self) -> dict[str, str]:
        """Prompt -> the id of its decision, from the gateway's log."""
        found: dict[str, str] = {}
        before = ""
        while True:
            page = self._get(f"/v1/decisions?limit=500{f'&before={before}' if before else ''}")
            found.update({one["prompt"]: one["id"] for one in page["data"] if one["prompt"]})
            if not page["has_more"]:
                return found
            before = page["last_id"]

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310
            return dict(json.load(answer))

    def dry_run(self, prompt: str) -> dict[str, Any]:
        """The gateway's decision for a prompt; dry runs are never explored."""
        body = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/v1/route", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return dict(json.load(answer))

    def promote(self, judge: Path) -> None:
        """Put a judge in force, and wait until the running gateway has taken it."""
        before = self.judge()
        self.command("judge", "promote", judge, "--store", self.store)
        until = time.monotonic() + 60
        while self.judge() == before:
            if time.monotonic() > until:
                raise SystemExit("the gateway did not take the promoted judge")
            time.sleep(0.5)
        print(f"the gateway answers with {self.judge()} now, without a restart", flush=True)


def adapt(loop: Loop, args: argparse.Namespace, prompts: list[tasks.Item]) -> list[Path]:
    """Label the prompts once, and adapt the prior to each training's own share of the labels; the judges."""
    asked = loop.out / "prompts.jsonl"
    rows = [{"id": made.id, "prompt": made.prompt, "answer": made.answer} for made in prompts]
    asked.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    labels = loop.out / "labels.jsonl"
    loop.command(
        *("label", "--prompts", asked, "--url", loop.url, "--grader", "exact", "--out", labels),
        *("--temperature", 0, "--max-tokens", 256, "--concurrency", 16),
    )
    head, *lines = labels.read_text("utf-8").splitlines(keepends=True)
    adapted = []
    for training in range(args.trainings):
        share = loop.out / f"labels-{training}.jsonl"
        share.write_text(head + "".join(lines[training :: args.trainings]), encoding="utf-8")
        adapted.append(loop.out / f"adapted-{training}")
        loop.command(
            *("judge", "adapt", "--labels", share, "--prior", loop.store / "current", "--price", args.price),
            *("--at-threshold", 0.5, "--out", adapted[-1]),
        )
    loop.command(
        *("judge", "calibrate", "--data", labels, "--weights", adapted[0], "--min-quality", 0.98), may_fail=True
    )
    return adapted


def learn(loop: Loop, args: argparse.Namespace, questions: list[tasks.Item]) -> Path | None:
    """Traffic with exploration and feedback, then a judge from its log; None where the log shows none to be better."""
    results = loop.traffic(questions)
    time.sleep(2)  # the log is written once a second
    ids = loop.decisions_by_prompt()
    loop.feedback(results, [ids[made.prompt] for made in questions])
    learned = loop.out / "learned"
    logged = ("--log", loop.out / "decisions.db", "--prior", loop.store / "current", "--price", args.price)
    return learned if loop.command("judge", "learn", *logged, "--out", learned, may_fail=True) == 0 else None


def scores(judge: Path, questions: list[tasks.Item]) -> list[float]:
    """A judge's scores of the questions, without a gateway."""
    sys.path.insert(0, str(ROOT))
    from router.conversation import read_conversation
    from router.judges.linear import LinearJudge

    loaded = LinearJudge.load(judge)
    asked = [read_conversation([{"role": "user", "content": made.prompt}]) for made in questions]
    return [loaded.score(one).score for one in asked]


def measure(loop: Loop, adapted: list[Path], learned: Path | None, args: argparse.Namespace) -> dict[str, Any]:
    """Each policy on what nobody has learned from: accuracy and tokens, each training on a set of its own."""
    report: dict[str, Any] = {"sets": [], "families": {}}
    families: dict[str, list[tuple[bool, bool]]] = {}
    for number, judge in enumerate(adapted):
        questions = items(MEASURED, args.test, 1000 * (args.seed + 1) + number, "eval")
        instruct, thinking = (loop.traffic(questions, f"auto-{mode}") for mode in ("instruct", "thinking"))
        pairs = list(zip(instruct, thinking, strict=True))
        for made, (quick, slow) in zip(questions, pairs, strict=True):
            families.setdefault(f"{made.kind} {made.steps or ''}".strip(), []).append((quick.correct, slow.correct))
        judges = {"prior judge": ROOT / "router" / "judges" / "weights", "adapted to labels": judge}
        if learned is not None:
            judges["learned from the log"] = learned
        policies = {"always instruct": [0.0] * len(questions), "always thinking": [1.0] * len(questions)}
        for name, path in judges.items():
            policies[name] = [float(score >= 0.5) for score in scores(path, questions)]
        policies["the running gateway"] = [float(loop.dry_run(made.prompt)["mode"] == "thinking") for made in questions]
        policies["each outcome known"] = [float(slow.correct and not quick.correct) for quick, slow in pairs]
        found = {name: outcome(policy, pairs) for name, policy in policies.items()}
        few, many, spent = (found[n]["tokens"] for n in ("always instruct", "always thinking", "adapted to labels"))
        found["random at the adapted judge's tokens"] = outcome([(spent - few) / (many - few)] * len(pairs), pairs)
        for row in found.values():
            row["of_always_thinking"] = row["tokens"] / many
        report["sets"].append(found)
    for name, outcomes in sorted(families.items()):
        report["families"][name] = {
            "questions": len(outcomes),
            "instruct": statistics.mean(quick for quick, _ in outcomes),
            "thinking": statistics.mean(slow for _, slow in outcomes),
        }
    return report


def outcome(policy: list[float], pairs: list[tuple[evaluate.Result, evaluate.Result]]) -> dict[str, float]:
    """What a policy (each question's probability of thinking) gets and spends."""
    weighed = list(zip(policy, pairs, strict=True))
    return {
        "think_ratio": statistics.mean(policy),
        "accuracy": statistics.mean(p * slow.correct + (1 - p) * quick.correct for p, (quick, slow) in weighed),
        "tokens": statistics.mean(p * slow.tokens + (1 - p) * quick.tokens for p, (quick, slow) in weighed),
    }


def tell(report: dict[str, Any], out: Path) -> None:
    """The report as tables, JSON and a plot."""
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print("\n| family, steps | questions | instruct | thinking |\n|---|---|---|---|")
    for name, row in report["families"].items():
        print(f"| {name} | {row['questions']} | {row['instruct']:.3f} | {row['thinking']:.3f} |")
    print("\n| policy | think ratio | accuracy | tokens each | of always thinking's |\n|---|---|---|---|---|")
    points = {}
    for name in report["sets"][0]:
        cells = []
        for key in ("think_ratio", "accuracy", "tokens", "of_always_thinking"):
            values = [found[name][key] for found in report["sets"]]
            # Student's t for the mean of three is 4.3
            half = 4.303 * statistics.stdev(values) / len(values) ** 0.5 if len(values) == 3 else 0.0
            cells.append((statistics.mean(values), half))
        points[name] = cells
        (ratio, _), (right, half), (spent, _), (share, more) = cells
        print(f"| {name} | {ratio:.3f} | {right:.3f} ± {half:.3f} | {spent:.1f} | {share:.3f} ± {more:.3f} |")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, (_, (right, half), (spent, _), _) in points.items():
        axes.errorbar([spent], [right], yerr=[half], fmt="o", label=name, capsize=3)
    axes.set(xlabel="tokens an answer", ylabel="accuracy", title="Families and lengths that nobody learned from")
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(out / "learned.png", dpi=110)
    print(f"\nwrote {out}/report.json and learned.png")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / ".run" / "learn-demo", help="must not be there yet")
    parser.add_argument("--port", type=int, default=8089)
    parser.add_argument("--trainings", type=int, default=3, help="with labels and a test set of their own (default 3)")
    parser.add_argument(
        "--labels", type=int, default=1500, help="prompts that both modes answer, in all (default 1500)"
    )
    parser.add_argument("--traffic", type=int, default=600, help="requests with exploration and feedback (default 600)")
    parser.add_argument("--test", type=int, default=160, help="questions a training to measure on (default 160)")
    parser.add_argument("--explore", type=float, default=0.25)
    parser.add_argument("--price", type=float, default=1.0, help="of a thousand tokens, in correctness (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    out = args.out.resolve()
    if out.exists():
        parser.error(f"{out} is there already; remove it or name another --out")
    out.mkdir(parents=True)
    loop, started = Loop(out, args.port), time.monotonic()
    loop.command(
        "judge", "promote", ROOT / "router" / "judges" / "weights", "--store", loop.store, "--without-evidence"
    )
    try:
        loop.start(args.explore)
        print(f"the pair answers after {time.monotonic() - started:.0f} s", flush=True)
        asked = items(LEARNED, args.labels + args.traffic, args.seed, "train")
        random.Random(args.seed).shuffle(asked)
        adapted = adapt(loop, args, asked[: args.labels])
        if not json.loads((adapted[0] / "report.json").read_text())["kept_prior"]:
            loop.promote(adapted[0])
        learned = learn(loop, args, asked[args.labels :])
        if learned is not None:
            loop.promote(learned)
        report = measure(loop, adapted, learned, args)
    finally:
        loop.stop()
    report["seconds"] = round(time.monotonic() - started)
    tell(report, out)
    print(f"the whole loop took {report['seconds']} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
