"""A real gateway with two workers, two backends, Redis and Prometheus, with traffic that touches every metric."""

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.deploy.tools import ROOT, free_port, tool, wait_for
from tests.state.redis_server import RedisServer

RULES = ROOT / "deploy/prometheus/rules"
HARD = "Prove that the square root of 2 is irrational, step by step."
EASY = "What is the capital of France?"
REFUSED = "refuse: prove that there are infinitely many primes"
DOUBTFUL = "What is the doubtful capital of France?"
EXHAUSTED = "Prove that the square root of 2 is irrational; think until you are exhausted."


def chat(text: str, **fields: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": True} | fields


# What clients send: every way of choosing a mode, hard and easy for the judge, a pool that is gone, a refusing backend.
TRAFFIC: list[tuple[dict[str, Any], dict[str, str]]] = [
    (chat(EASY), {}),
    (chat(HARD), {}),
    (chat("Thanks!"), {}),
    (chat(EASY, stream=False), {}),
    (chat(HARD, stream=False), {}),
    (chat(EASY + " /think"), {}),
    (chat(HARD), {"x-thinkgate-mode": "instruct"}),
    (chat(EASY, chat_template_kwargs={"enable_thinking": True}), {}),
    (chat(EASY, model="auto-thinking"), {}),
    (chat(HARD, model="broken"), {}),
    (chat(REFUSED), {}),
    # A threshold that policies move, a pool under pressure, chance, drafts that are kept and dropped, and rescues.
    (chat(EASY, model="steered"), {}),
    (chat(HARD, model="steered"), {}),
    (chat(EASY, model="drafted"), {}),
    (chat(DOUBTFUL, model="drafted"), {}),
    (chat(EASY, model="curious"), {}),
    (chat(HARD, model="curious"), {}),
    (chat(EXHAUSTED, model="auto-thinking"), {}),
]
VERDICTS = ("good_fit", "good_fit", "underpowered", "overprovisioned", "failed")


@dataclass
class Stack:
    """Where things listen."""

    gateway: str
    prometheus: str

    def api(self, path: str, **query: object) -> Any:
        """Ask Prometheus' HTTP API; fails with its own words."""
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        answer = httpx.get(url, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, expr: str, window_s: int = 5) -> list[tuple[dict[str, str], list[float]]]:
        """Labels and values of every series in the last seconds."""
        now = time.time()
        data = self.api("query_range", query=expr, start=now - window_s, end=now, step=1)
        return [(s["metric"], [float(value) for _, value in s["values"]]) for s in data["result"]]


def _rules(folder: Path) -> str:
    """The committed rules, evaluated every second."""
    for path in RULES.glob("*.yaml"):
        groups = yaml.safe_load(path.read_text("utf-8"))
        for group in groups["groups"]:
            group["interval"] = "1s"
        (folder / path.name).write_text(yaml.safe_dump(groups), "utf-8")
    return str(folder / "*.yaml")


def _configuration(fast: int, deep: int, nobody: int, redis: str, folder: Path) -> dict[str, Any]:
    at = "http://127.0.0.1:{}".format
    return {
        "server": {"workers": 2},
        "state": {"url": redis},
        "decisions": {"url": f"sqlite:///{folder}/decisions.db"},
        "access_log": {"path": f"{folder}/access.jsonl"},
        "pools": {
            "fast": {"model": "instruct", "replicas": [at(fast)]},
            "deep": {"model": "thinking", "replicas": [at(deep), at(deep)]},
            "gone": {"model": "gone", "replicas": [at(nobody)]},
        },
        "routes": {
            "auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"},
            "broken": {"family": "qwen3-2507", "instruct": "fast", "thinking": "gone"},
            "steered": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep", "profile": "steered"},
            "drafted": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep", "profile": "drafted"},
            "curious": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep", "profile": "curious"},
        },
        "profiles": {
            "default": {"rescue": True, "rescue_tokens": 16},
            "steered": {
                "think_ratio": {"target": 0.3, "window": 50},
                "load_shedding": {"start": 0.8},
                # So small that it is used up at once: the threshold is raised, and thinking withheld.
                "token_budget": {"thinking_tokens_per_minute": 60},
            },
            "curious": {"explore": 0.3, "shadow": {"share": 1.0, "max_beside": 50}},
            "drafted": {"threshold": 0.99, "escalation": {"band": 0.99, "tokens": 4}},
        },
    }


def _send(gateway: str, stop: threading.Event) -> None:
    """Traffic without end, with verdicts; every round also one client that leaves in the middle of its answer."""
    verdicts = itertools.cycle(VERDICTS)
    with httpx.Client(base_url=gateway, timeout=30) as client:
        while not stop.is_set():
            for body, headers in TRAFFIC:
                answer = client.post("/v1/chat/completions", json=body, headers=headers)
                if decision := answer.headers.get("x-thinkgate-decision-id"):
                    # 404 where the decision is not written yet: then the next one is told of.
                    client.post("/v1/feedback", json={"decision_id": decision, "verdict": next(verdicts)})
            with client.stream("POST", "/v1/chat/completions", json=chat("slow", model="auto-instruct")) as answer:
                next(answer.iter_bytes())
            stop.wait(0.05)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """Everything up, and traffic flowing."""
    fast, deep, port, prometheus, nobody = (free_port() for _ in range(5))
    redis = RedisServer()
    (folder / "rules").mkdir()
    configuration = _configuration(fast, deep, nobody, redis.url, folder)
    (folder / "gateway.yaml").write_text(yaml.safe_dump(configuration), "utf-8")
    scrapes = [
        {"job_name": "thinkgate", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
        {"job_name": "vllm", "static_configs": [{"targets": [f"127.0.0.1:{fast}", f"127.0.0.1:{deep}"]}]},
    ]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [_rules(folder / "rules")],
        "scrape_configs": scrapes,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    python = sys.executable
    backend = [python, "tests/deploy/backend.py", "--host", "127.0.0.1"]
    commands = [
        [*backend, "--port", str(fast), "--served-model-name", "instruct"],
        [*backend, "--port", str(deep), "--served-model-name", "thinking"],
        [python, "-m", "app", "serve", "--config", str(folder / "gateway.yaml"), "--port", str(port)],
        [
            tool("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ],
    ]
    stack = Stack(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{prometheus}")
    with contextlib.ExitStack() as undo:
        redis.start()
        undo.callback(redis.stop)
        for command in commands:
            log = undo.enter_context((folder / f"{len(list(folder.glob('*.log')))}.log").open("w"))
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
            undo.callback(_end, process)
        for name, port_ in (("instruct", fast), ("thinking", deep)):
            wait_for(name, lambda port_=port_: httpx.get(f"http://127.0.0.1:{port_}/health").is_success)  # type: ignore[misc]
        wait_for("gateway", lambda: httpx.get(stack.gateway + "/health/live").is_success)
        wait_for("Prometheus", lambda: httpx.get(stack.prometheus + "/-/ready").is_success)
        stop = threading.Event()
        sender = threading.Thread(target=_send, args=(stack.gateway, stop))
        sender.start()
        undo.callback(sender.join)
        undo.callback(stop.set)
        yield stack


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def dashboards() -> dict[str, Any]:
    """The committed dashboards, by file name."""
    return {
        p.name: json.loads(p.read_text("utf-8")) for p in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    }


def panel_queries() -> list[tuple[str, str]]:
    """Every query of every panel: where it is, and its PromQL with Grafana's variables filled in."""
    found = []
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                expr = target["expr"].replace("$__rate_interval", "20s").replace("$job", ".*")
                found.append((f"{name}: {panel['title']} ({target['refId']})", expr))
    return found


def recording_rules() -> list[tuple[str, str]]:
    """Every recording rule's name and expression."""
    groups = [g for p in sorted(RULES.glob("*.yaml")) for g in yaml.safe_load(p.read_text("utf-8"))["groups"]]
    return [(rule["record"], rule["expr"]) for group in groups for rule in group["rules"] if "record" in rule]
