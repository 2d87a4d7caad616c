"""Write the dashboards as the JSON files that Grafana loads. Knows which there are; knows no panel.

python -m deploy.grafana.build [--check]
"""

import argparse
import json
import sys
from pathlib import Path

from deploy.grafana.backends import BACKENDS
from deploy.grafana.judge_quality import JUDGE_QUALITY
from deploy.grafana.latency_and_cost import LATENCY_AND_COST
from deploy.grafana.routing import ROUTING

DASHBOARDS = (ROUTING, LATENCY_AND_COST, BACKENDS, JUDGE_QUALITY)
FOLDER = Path(__file__).parent / "dashboards"


def files() -> dict[str, str]:
    """Text of every dashboard's file, by the file's name."""
    return {
        f"{dashboard.uid.removeprefix('thinkgate-')}.json": json.dumps(dashboard.json(), indent=1, ensure_ascii=False)
        + "\n"
        for dashboard in DASHBOARDS
    }


def stale(folder: Path = FOLDER) -> list[str]:
    """Names of files that are missing, different, or nobody's."""
    wanted = files()
    found = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def main() -> int:
    """Write the files, or tell with status 1 which are stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file is stale")
    if parser.parse_args().check:
        for name in stale():
            print(f"{name} is stale: run `python -m deploy.grafana.build`", file=sys.stderr)
        return int(bool(stale()))
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in files().items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
