"""Every vLLM command line of the compose files and of the chart's examples, read by vLLM's own parser."""

import json
import subprocess
from typing import Any

import yaml

from tests.deploy.check_chart import EXAMPLES, of_kind, render
from tests.deploy.tools import ROOT

OVERLAYS = ("gpu", "gpu2", "gpu8", "cpu")
ENGINE = ROOT / ".venv-vllm/bin/python"

# Runs in the engine's environment. Prints what vLLM read from every command line.
READ = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
read = []
for words in json.load(sys.stdin):
    known = vars(parser.parse_args(words))
    for names, manager in (("reasoning_parser", ReasoningParserManager.get_reasoning_parser),
                           ("tool_call_parser", ToolParserManager.get_tool_parser)):
        if known.get(names):
            manager(known[names])
    read.append({name: str(known[name]) for name in ("model_tag", "served_model_name", "tensor_parallel_size",
        "gpu_memory_utilization", "reasoning_parser", "tool_call_parser", "generation_config")})
print("READ" + json.dumps(read))
"""


def command_lines() -> dict[str, list[str]]:
    """By where they are: the words after `vllm serve`."""
    found = {}
    for overlay in OVERLAYS:
        data = yaml.safe_load((ROOT / f"deploy/compose/compose.{overlay}.yaml").read_text("utf-8"))
        for name in ("vllm-instruct", "vllm-thinking"):
            found[f"compose.{overlay}.yaml {name}"] = data["services"][name]["command"]
    for example in EXAMPLES:
        for engine in of_kind(render(example), "StatefulSet"):
            (container,) = engine["spec"]["template"]["spec"]["containers"]
            found[f"{example.name} {engine['metadata']['name']}"] = container["args"]
    return found


def test_vllm_knows_every_flag() -> None:
    lines = command_lines()
    assert len(lines) >= 11
    assert ENGINE.exists(), "vLLM is not installed: make engine"
    done = subprocess.run(
        [str(ENGINE), "-c", READ], input=json.dumps(list(lines.values())), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read: list[dict[str, Any]] = json.loads(done.stdout.split("READ")[1])
    for (where, words), values in zip(lines.items(), read, strict=True):
        assert values["model_tag"] == words[0], where
        thinks = "thinking" in where or "deep" in where or "both" in where
        assert (values["reasoning_parser"] not in ("None", "")) == thinks, f"{where}: {values}"
        assert values["generation_config"] == "vllm", where
        assert values["tool_call_parser"] == "hermes", where


def test_models_are_served_under_the_names_that_the_gateway_asks_for() -> None:
    for name in ("gateway.yaml", "gateway.cpu.yaml"):
        pools = yaml.safe_load((ROOT / "deploy/compose" / name).read_text("utf-8"))["pools"]
        wanted = {pool["replicas"][0].split("//")[1].split(":")[0]: pool["model"] for pool in pools.values()}
        for where, words in command_lines().items():
            if where.startswith("compose"):
                assert f"--served-model-name={wanted[where.split()[1]]}" in words
