"""What a request and a chunk cost a gateway, measured against a fake vLLM, the gateway alone on one core.

    python -m tests.bench.run [--quick] [--peers | --only NAME,NAME] [--output results/gateways.json]

`make bench` measures ThinkGate, with its decision log and without; `make bench-peers` nginx, the Rust routers and
LiteLLM beside it (`tests/bench/peers.sh` installs them). Gateways take turns: each repetition starts every one anew, in
another order. CPU time of the gateway's processes is the figure to trust; wall-clock figures move with whatever else
the machine does. Needs Linux and two cores: load and upstream share one, the gateway has the other.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import machine
from tests.bench.gateways import DIRECT, catalogue, describe, direct, started
from tests.bench.phases import FULL, QUICK, Lengths, Run, summary, turn
from tests.bench.processes import Upstream, allow_many_files, upstream
from tests.bench.report import plot, ratios, table

ALONE = ("thinkgate", "thinkgate-no-log")


def main() -> int:
    """Run from the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter loads, once")
    parser.add_argument("--peers", action="store_true", help="all gateways that are installed")
    parser.add_argument("--only", help=f"these gateways, by comma: {', '.join(catalogue())}")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=machine.ROOT / "results" / "gateways.json")
    options = parser.parse_args()
    known = catalogue()
    names = options.only.split(",") if options.only else list(known) if options.peers else list(ALONE)
    for name in names:
        if name not in known:
            parser.error(f"no gateway `{name}`: {', '.join(known)}")
        if not known[name].installed():
            parser.error(f"{name} is not installed: tests/bench/peers.sh")
    allow_many_files()
    repetitions = 1 if options.quick else options.repetitions
    turns = measure(names, repetitions, QUICK if options.quick else FULL)
    found = {name: summary(turns[name], turns[DIRECT]) for name in [*names, DIRECT]}
    facts = machine.facts()
    output: Path = options.output
    output.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "facts": {**facts, "repetitions": repetitions, "gateways": describe([known[name] for name in names])},
        "summary": found,
        "ratios": ratios(found),
        "turns": turns,
    }
    output.write_text(json.dumps(kept, indent=1))
    plot(found, output.with_suffix(".png"), machine.in_words(facts))
    print(table(found))
    print(
        "\n".join(["", *ratios(found), machine.in_words(facts), f"All figures: {output}, {output.with_suffix('.png')}"])
    )
    return 0 if all(len(found) == repetitions for found in turns.values()) else 1


def measure(names: list[str], repetitions: int, lengths: Lengths) -> dict[str, list[Run]]:
    """All turns by gateway, the direct ones among them."""
    order = [DIRECT, *names]
    turns: dict[str, list[Run]] = {name: [] for name in order}
    began, done, total = time.monotonic(), 0, repetitions * len(order)
    with upstream() as behind, tempfile.TemporaryDirectory(prefix="thinkgate-bench-") as directory:
        for repetition in range(repetitions):
            for place, name in enumerate(order[repetition % len(order) :] + order[: repetition % len(order)]):
                left = (
                    ""
                    if not done
                    else f", about {(time.monotonic() - began) / done * (total - done) / 60:.0f} min left"
                )
                says = _saying(f"{repetition + 1}/{repetitions} {name}", left)
                home = Path(directory) / f"{repetition}-{place}"
                try:
                    turns[name].append(_turn(name, behind, home, lengths, says))
                except RuntimeError as error:  # one that does not start costs its own figures only
                    print(error, file=sys.stderr)
                done += 1
    return turns


def _turn(name: str, behind: Upstream, home: Path, lengths: Lengths, says: Callable[[str], None]) -> Run:
    if name == DIRECT:
        return turn(direct(behind), behind, lengths, says)
    with started(catalogue()[name], behind, home) as gateway:
        time.sleep(1)  # what it still does after it is ready
        return {**turn(gateway, behind, lengths, says), "load_average": os.getloadavg()}


def _saying(what: str, left: str) -> Callable[[str], None]:
    return lambda phase: print(f"  {what} {phase}{left}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
