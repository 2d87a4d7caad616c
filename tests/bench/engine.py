"""A real vLLM asked directly and through the gateway, by vLLM's own load generator: time to first token and tokens/s.

    python -m tests.bench.engine [--prompts 64] [--concurrency 4] [--repetitions 3]

The embedded miniature model on the CPU (`make engine` sets vLLM up). The gateway judges every request and sends all of
them to this one engine. Direct and through the gateway take turns. Writes results/engine.json and prints a table.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import machine
from tests.bench.processes import KEY, free_port, running
from tests.engines import CPU_ENVIRONMENT, CPU_FLAGS, VLLM_PYTHON

MODEL = machine.ROOT / "deploy" / "engine" / "instruct"
NAME = "mini-instruct"
ENVIRONMENT = {**CPU_ENVIRONMENT, "OPENAI_API_KEY": KEY}
ENGINE = (
    *("-m", "vllm.entrypoints.openai.api_server", "--model", str(MODEL), "--served-model-name", NAME),
    *("--host", "127.0.0.1", *CPU_FLAGS),
)
GATEWAY = f"""\
server: {{port: PORT}}
auth: {{keys: [{{key: {KEY}}}]}}
pools: {{fast: {{model: {NAME}, replicas: ["ENGINE"]}}}}
routes: {{auto: {{family: generic-pair, instruct: fast, thinking: fast}}}}
decisions: {{url: "sqlite:///DIRECTORY/decisions.db"}}
"""
FIGURES = (
    ("median_ttft_ms", "first token, median, ms"),
    ("p99_ttft_ms", "first token, p99, ms"),
    ("median_tpot_ms", "a token after it, median, ms"),
    ("median_itl_ms", "between tokens, median, ms"),
    ("output_throughput", "tokens/s"),
    ("request_throughput", "requests/s"),
    ("completed", "requests answered"),
)


def main() -> int:
    """Run from the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=machine.ROOT / "results" / "engine.json")
    options = parser.parse_args()
    if not VLLM_PYTHON.exists():
        parser.error("vLLM is not there: make engine")
    engine_port, port = free_port(), free_port()
    engine, gateway = f"http://127.0.0.1:{engine_port}", f"http://127.0.0.1:{port}"
    runs: dict[str, list[dict[str, Any]]] = {"direct": [], "gateway": []}
    with tempfile.TemporaryDirectory(prefix="thinkgate-bench-") as directory:
        config = Path(directory) / "thinkgate.yaml"
        filled = GATEWAY.replace("PORT", str(port)).replace("ENGINE", engine).replace("DIRECTORY", directory)
        config.write_text(filled)
        serve = [sys.executable, "-m", "app", "serve", "--config", str(config)]
        print("  starting vLLM …", file=sys.stderr, flush=True)
        with (
            running("vllm", [str(VLLM_PYTHON), *ENGINE, "--port", str(engine_port)], f"{engine}/health", ENVIRONMENT),
            running("gateway", serve, f"{gateway}/health/ready"),
        ):
            _ask(engine, NAME, 8, options.concurrency, Path(directory))
            for turn in range(options.repetitions):
                for what, url, model in (("direct", engine, NAME), ("gateway", gateway, "auto")):
                    print(f"  {turn + 1}/{options.repetitions} {what} …", file=sys.stderr, flush=True)
                    runs[what].append(_ask(url, model, options.prompts, options.concurrency, Path(directory)))
    facts = machine.facts()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(
        json.dumps({"facts": facts, "options": vars(options), "runs": runs}, indent=1, default=str)
    )
    print("| figure | direct | through the gateway |\n|---|---|---|")
    for key, title in FIGURES:
        print(f"| {title} | " + " | ".join(f"{statistics.median(r[key] for r in runs[w]):.2f}" for w in runs) + " |")
    print(f"\n{machine.in_words(facts)}\nAll figures: {options.output}")
    return 0


def _ask(url: str, model: str, prompts: int, concurrency: int, directory: Path) -> dict[str, Any]:
    """One run of `vllm bench serve`; its figures."""
    command = [
        *(str(VLLM_PYTHON), "-m", "vllm.entrypoints.cli.main", "bench", "serve", "--backend", "openai-chat"),
        *("--base-url", url, "--endpoint", "/v1/chat/completions", "--model", model, "--tokenizer", str(MODEL)),
        *("--dataset-name", "random", "--random-input-len", "64", "--random-output-len", "64", "--ignore-eos"),
        *("--num-prompts", str(prompts), "--max-concurrency", str(concurrency), "--disable-tqdm"),
        *("--percentile-metrics", "ttft,tpot,itl", "--save-result", "--result-dir", str(directory)),
        *("--result-filename", "run.json"),
    ]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=1800)
    if done.returncode:
        raise RuntimeError(f"vllm bench serve failed:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    found: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return {key: found[key] for key, _ in FIGURES} | {"failed": found.get("failed", 0)}


if __name__ == "__main__":
    sys.exit(main())
