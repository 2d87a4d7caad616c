"""Read the data files: JSON lines, plain or zstandard-compressed. Knows files, caps and duplicates; no labels."""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from router.training.examples import Example, read_example

CAP: Final = 700
"""Rows kept per source, language, domain class and label, so that no large source speaks for all."""


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects in `path` (`.jsonl` or `.jsonl.zst`), one a line."""
    if path.suffix == ".zst":
        import zstandard

        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            yield from _parsed(path, lines)
    else:
        with path.open(encoding="utf-8") as lines:
            yield from _parsed(path, lines)


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: a row must be a JSON object")
        yield row


def data_files(directory: Path) -> list[Path]:
    """The data files of a directory, in order; raises FileNotFoundError where there are none."""
    found = sorted(path for path in directory.iterdir() if path.name.endswith((".jsonl", ".jsonl.zst")))
    if not found:
        raise FileNotFoundError(f"{directory}: no .jsonl or .jsonl.zst file")
    return found


def read_examples(paths: Iterable[Path]) -> list[Example]:
    """All examples of the files, in order, without exact duplicates of a text (white space and case aside)."""
    seen: set[bytes] = set()
    examples = []
    for path in paths:
        for row in read_rows(path):
            example = read_example(row)
            if example is None:
                continue
            key = digest_of(example)
            if key not in seen:
                seen.add(key)
                examples.append(example)
    return examples


def digest_of(example: Example) -> bytes:
    """A digest of the judged text, equal for texts that differ in case and white space only."""
    text = " ".join(example.conversation.work.lower().split())
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def capped(examples: Sequence[Example], cap: int = CAP, seed: int = 0) -> list[Example]:
    """At most `cap` examples of each (source, language, label), a tenth of it of each puzzle task; order kept."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        groups[example.source, example.lang, example.hard, example.facts.get("task", "")].append(index)
    kept: list[int] = []
    for key in sorted(groups, key=repr):
        members = groups[key]
        limit = max(1, cap // 10) if key[-1] else cap
        kept += members if len(members) <= limit else random.Random(f"{seed}:{key!r}").sample(members, limit)
    return [examples[index] for index in sorted(kept)]


def balanced(examples: Sequence[Example]) -> list[Example]:
    """The same examples, weights rescaled so that a fold's total grows with the square root of its size."""
    totals: dict[str, float] = defaultdict(float)
    for example in examples:
        totals[_unit(example)] += example.weight
    return [
        replace(example, weight=example.weight * (300.0 / max(totals[_unit(example)], 30.0)) ** 0.5)
        for example in examples
    ]


def _unit(example: Example) -> str:
    """The source, but for puzzle collections the fold of tasks."""
    return example.facts.get("fold", example.source) if "task" in example.facts else example.source
