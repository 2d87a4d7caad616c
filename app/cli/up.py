"""`thinkgate up`: the command line of the engine supervisor. Knows options and exit statuses only."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app.launch.banner import opening
from app.launch.console import Console
from app.launch.errors import LaunchError
from app.launch.first_requests import EASY_AND_HARD
from app.launch.gateway import try_out
from app.launch.plan import Options, Plan, make_plan
from app.launch.service import Pace
from app.launch.supervisor import Supervisor

_EXAMPLES = """\
examples:
  thinkgate up --instruct Qwen/Qwen3-30B-A3B-Instruct-2507 --thinking Qwen/Qwen3-30B-A3B-Thinking-2507
  thinkgate up --hybrid ./Qwen3-8B --vllm-arg=--max-num-seqs=64 --port 9000
  thinkgate up --instruct deploy/engine/instruct --thinking deploy/engine/thinking --first-requests
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `up` to the command line."""
    parser = subparsers.add_parser(
        "up",
        help="start vLLM for a pair or a hybrid model, and the gateway in front; stop all of it on Ctrl-C",
        description="Starts and supervises vLLM servers and the gateway. A crashed one is reported and started again.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = parser.add_argument_group("models (local directories or hub names)")
    model.add_argument("--instruct", metavar="MODEL", help="the model that answers without thinking")
    model.add_argument("--thinking", metavar="MODEL", help="the model that thinks first")
    model.add_argument("--hybrid", metavar="MODEL", help="one model that can do both, instead of the pair")
    model.add_argument("--max-model-len", metavar="N", help="context length (default: the longest that fits)")

    engine = parser.add_argument_group("engines")
    for role in ("vllm", "instruct", "thinking"):
        which = "every engine" if role == "vllm" else f"the {role} engine"
        text = f"an argument for {which}, with = between: --{role}-arg=--max-num-seqs=64 (repeatable; replaces ours)"
        engine.add_argument(f"--{role}-arg", metavar="ARG", action="append", default=[], help=text)
    engine.add_argument("--vllm-python", metavar="PATH", help="interpreter or environment that has vLLM")
    engine.add_argument("--vllm", metavar="COMMAND", help="command to call instead, such as /opt/vllm/bin/vllm")
    engine.add_argument(
        "--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: a GPU if there is one"
    )
    engine.add_argument("--cpu", dest="device", action="store_const", const="cpu", help="same as --device cpu")
    engine.add_argument(
        "--gpu-memory-share", metavar="X", type=_share, help="of each GPU per engine (default: 0.45 shared, 0.9 alone)"
    )
    engine.add_argument(
        "--startup-timeout", metavar="S", type=_seconds, default=300.0, help="seconds until ready (default: 300)"
    )

    gateway = parser.add_argument_group("gateway")
    gateway.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    gateway.add_argument("--port", type=_port, help="port to listen on (default: 8080; 0 takes a free one)")
    gateway.add_argument(
        "--config", metavar="FILE", type=Path, help="judge, profiles, auth, …; its pools and routes are replaced"
    )
    gateway.add_argument("--judge-weights", metavar="DIR", type=Path, help="other weights for the linear judge")
    gateway.add_argument("--log-dir", metavar="DIR", type=Path, help="logs and configuration (default: .run/PORT)")
    gateway.add_argument(
        "--first-requests",
        action="store_true",
        help="once ready, ask something easy and something hard and show where it went",
    )
    gateway.add_argument(
        "--try", dest="prompts", metavar="PROMPT", action="append", default=[], help="once ready, ask this (repeatable)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 after Ctrl-C, 1 where it could not start, 130 after a second Ctrl-C."""
    console = Console(sys.stdout)
    prompts = args.prompts or (EASY_AND_HARD if args.first_requests else ())
    try:
        plan = make_plan(_options(args), os.environ)
        try:
            console.say(opening(plan))
            try_out(plan.gateway.command, plan.config_path)
            return asyncio.run(_supervise(plan, console, prompts, Pace(startup_s=args.startup_timeout)))
        finally:
            plan.release()
    except LaunchError as error:
        print(f"thinkgate up: {error}", file=sys.stderr)
        return 1


async def _supervise(plan: Plan, console: Console, prompts: Sequence[str], pace: Pace) -> int:
    return await Supervisor(plan, console, prompts=prompts, pace=pace).run()


def _options(args: argparse.Namespace) -> Options:
    return Options(
        instruct=args.instruct,
        thinking=args.thinking,
        hybrid=args.hybrid,
        arguments={
            "": tuple(args.vllm_arg),
            "instruct": tuple(args.instruct_arg),
            "thinking": tuple(args.thinking_arg),
        },
        vllm_python=args.vllm_python,
        vllm=args.vllm,
        host=args.host,
        port=args.port,
        config=args.config,
        max_model_len=args.max_model_len,
        gpu_memory_share=args.gpu_memory_share,
        device=args.device,
        judge_weights=args.judge_weights,
        log_dir=args.log_dir,
    )


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return value
