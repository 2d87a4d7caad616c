"""Lint and render the chart with Helm's own library; runs in the tools' environment, prints JSON.

.venv-deploy/bin/python tests/deploy/render.py lint VALUES.yaml
.venv-deploy/bin/python tests/deploy/render.py render VALUES.yaml
.venv-deploy/bin/python tests/deploy/render.py schema < VALUES.json
"""

import json
import sys
from pathlib import Path

import helm_python as helm

CHART = str(Path(__file__).parents[2] / "deploy/helm/thinkgate")
helm.disable_logging()


def main(what: str, *names: str) -> object:
    """The answer to print."""
    if what == "lint":
        return helm.lint(CHART, values=helm.values_from_yaml(Path(names[0]).read_text("utf-8")), strict=True)
    with helm.Chart.load(CHART) as chart:
        if what == "schema":
            try:
                chart.validate_schema(json.load(sys.stdin))
            except helm.HelmError as error:
                return str(error)
            return None
        values = helm.values_from_yaml(Path(names[0]).read_text("utf-8"))
        return chart.render(values, name="demo", namespace="prod")


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
