"""`thinkgate judge score --ray`: the same rows by many processes, with Ray Data. Knows files and Ray; no judge.

The file is cut at line ends; every task reads and scores its part, and the parts come back in the file's order, so that
the output is that of one process, byte for byte. The file must be readable on every machine of the cluster.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from app.cli.lines import lines_of
from router.judges import load_judge
from router.judges.batch import BadRow, score_rows

PART_BYTES: Final = 4 * 2**20


def parts(path: Path, size: int = PART_BYTES) -> Iterator[dict[str, Any]]:
    """Parts of about `size` bytes that end with lines: where each begins, its bytes, and the lines before it."""
    with path.open("rb") as source:
        start = before = 0
        while block := source.read(size):
            lines = block.count(b"\n")
            if not block.endswith(b"\n"):
                while rest := source.readline(size):
                    if rest.endswith(b"\n"):
                        lines += 1
                        break
            end = source.tell()
            yield {"path": str(path), "start": start, "bytes": end - start, "line": before}
            start, before = end, before + lines


class Scorer:
    """Scores parts; made once in each process."""

    def __init__(self, kind: str, options: dict[str, Any], threshold: float) -> None:
        self._judge = load_judge(kind, **options)
        self._threshold = threshold

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """The part's rows as text, how many they are, and (line, problem) of bad ones."""
        good: list[str] = []
        bad: list[str] = []
        with Path(part["path"]).open("rb") as source:
            source.seek(part["start"])
            for row in score_rows(self._judge, lines_of(source, part["bytes"]), self._threshold):
                if isinstance(row, BadRow):
                    bad.append(f"{row.line + part['line']}: {row.problem}")
                else:
                    good.append(row.to_json() + "\n")
        return {"text": "".join(good), "good": len(good), "bad": "\n".join(bad)}


def score_on_ray(
    path: Path, kind: str, options: dict[str, Any], threshold: float, size: int = PART_BYTES
) -> Iterator[dict[str, Any]]:
    """What `Scorer` says of each part, in order. A local cluster is started where RAY_ADDRESS names none."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    made = list(parts(path, size))
    if not made:
        return
    workers = max(1, min(len(made), int(ray.cluster_resources().get("CPU", 1))))
    scored = ray.data.from_items(made, override_num_blocks=len(made)).map(
        Scorer,
        fn_constructor_args=(kind, options, threshold),
        compute=ActorPoolStrategy(size=workers),
    )
    yield from scored.iter_rows()
