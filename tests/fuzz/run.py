"""Fuzzing guided by coverage: one target for some seconds, from its seeds (atheris, libFuzzer underneath).

    python -m tests.fuzz.run chat_stream --seconds 60 [--found FOLDER]

Ends with a status other than 0 where an input fails; the input is written to FOLDER. `make fuzz` runs all targets.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["app", "router"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.seeds import SEEDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--found", type=Path, default=Path("results/fuzz"), metavar="FOLDER")
    given = parser.parse_args()
    given.found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="thinkgate-fuzz-") as folder:
        for number, seed in enumerate(SEEDS[given.target]()):
            (Path(folder) / f"{number:03}").write_bytes(seed)
        print(f"{given.target}: {given.seconds} s, {number + 1} seeds", flush=True)
        limits = [f"-max_total_time={given.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"]
        place = f"-artifact_prefix={given.found}{os.sep}{given.target}-"
        atheris.Setup(
            [sys.argv[0], *limits, place, "-print_final_stats=0", "-verbosity=1", folder], TARGETS[given.target]
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
