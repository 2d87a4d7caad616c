"""Parts of a file and their scores, without Ray: together they are the whole. tests/deploy/check_ray.py has Ray."""

import json
import random

import pytest

from app.cli.judge_on_ray import Scorer, parts
from app.cli.lines import lines_of
from router.judges import load_judge
from router.judges.batch import BadRow, score_rows

THRESHOLD = 0.4


@pytest.fixture
def file(tmp_path):
    rng = random.Random(5)
    rows = [json.dumps({"id": i, "prompt": "证明 x " * rng.randrange(60)}, ensure_ascii=False) for i in range(300)]
    rows[7], rows[150], rows[299] = "not json", "", "[]"
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows), "utf-8")  # the last line has no end
    return path


@pytest.mark.parametrize("size", [1, 100, 5_000, 1 << 20])
def test_parts_end_with_lines_and_are_the_whole_file(file, size):
    data, found = file.read_bytes(), list(parts(file, size))
    pieces = [data[part["start"] : part["start"] + part["bytes"]] for part in found]
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
    assert [part["line"] for part in found] == [data[: part["start"]].count(b"\n") for part in found]
    assert len(found) == (1 if size == 1 << 20 else len(found))


@pytest.mark.parametrize("size", [1, 100, 5_000, 1 << 20])
def test_scores_of_the_parts_are_those_of_the_whole(file, size):
    scorer = Scorer("linear", {}, THRESHOLD)
    found = [scorer(part) for part in parts(file, size)]
    with file.open("rb") as source:
        whole = list(score_rows(load_judge("linear"), lines_of(source), THRESHOLD))
    good = "".join(row.to_json() + "\n" for row in whole if not isinstance(row, BadRow))
    bad = [f"{row.line}: {row.problem}" for row in whole if isinstance(row, BadRow)]
    assert "".join(part["text"] for part in found) == good
    assert [line for part in found for line in part["bad"].splitlines()] == bad
    assert [line.split(":")[0] for line in bad] == ["8", "300"]
    assert sum(part["good"] for part in found) == 297


def test_an_empty_file_has_no_parts(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert list(parts(path)) == []
