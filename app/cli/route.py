"""`thinkgate route`: the decision for a prompt, and why, on the terminal."""

import argparse
import asyncio
import json
import sys

from app.config_file import load_settings, parse_settings
from app.settings import Settings


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = commands.add_parser(
        "route",
        help="show the decision for a prompt",
        description="Decide for a prompt, and say why; no backend is asked.",
    )
    parser.add_argument("prompt", help="the user's text; - reads it from standard input")
    parser.add_argument("--config", metavar="FILE", help="the configuration; without it: shipped judge, threshold 0.5")
    parser.add_argument("--model", default="auto", help="the route's alias (default: auto)")
    parser.add_argument("--system", help="a system prompt")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="a request header")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def bare_settings() -> Settings:
    """A route `auto` and nothing behind it: enough to decide."""
    pool = {"replicas": ["http://127.0.0.1:1"]}
    return parse_settings(
        {
            "pools": {"fast": {"model": "instruct", **pool}, "deep": {"model": "thinking", **pool}},
            "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
        },
        {},
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the decision."""
    from app.dataplane.chat_request import ChatRequest
    from app.dataplane.plan import Caller
    from app.errors import GatewayError
    from app.gateway import create_app
    from app.judging.pending import Pending

    settings = load_settings(arguments.config) if arguments.config else bare_settings()
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    messages = [{"role": "system", "content": arguments.system}] if arguments.system else []
    messages.append({"role": "user", "content": prompt})
    headers = {}
    for header in arguments.header:
        name, _, value = header.partition(":")
        headers[name.strip().lower().encode("latin-1")] = value.strip().encode("latin-1")
    planner = create_app(settings).planner
    try:
        request = ChatRequest.parse(json.dumps({"model": arguments.model, "messages": messages}).encode())
        plan = planner.plan(request, headers, Caller(), explain=True)
        if isinstance(plan, Pending):
            plan = asyncio.run(planner.judged(plan))
    except GatewayError as error:
        print(f"thinkgate: {error.message}", file=sys.stderr)
        return 2
    facts = plan.routing.as_dict()
    features = plan.routing.decision.features
    if arguments.json:
        facts["features"] = [{"name": f.name, "push": f.push} for f in features]
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return 0
    print(f"{plan.routing.mode.value}  ({plan.routing.reason.value}: {facts['because']})")
    for key in ("score", "threshold", "judge", "profile", "pool", "model", "budget"):
        if key in facts:
            print(f"  {key:<10} {facts[key]}")
    if features:
        print("  what moved the score (+ towards thinking) · 影响评分的因素（+ 倾向思考）:")
        for feature in features:
            print(f"    {feature.push:+.3f}  {feature.name}")
    return 0
