"""Draw every policy over its traces: `python -m tests.simulation docs/images`. Knows matplotlib; tests nothing."""

import sys
from pathlib import Path

from tests.simulation import plots


def main(directory: Path) -> None:
    """Write the pictures that docs/policies.md shows."""
    for draw in plots.ALL:
        print(draw(directory))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
