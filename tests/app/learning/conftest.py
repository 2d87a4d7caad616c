"""Judges in directories, with and without evidence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.learning.judge_folder import write_judge
from router.judges.weights import CARD, EMBEDDED, TENSORS

ACCEPTED = {
    "format": 1,
    "kind": "adaptation",
    "kept_prior": False,
    "check": {"accepted": True, "difference": 0.1, "standard_error": 0.01},
}


def make_judge(place: Path, version: str, **report: Any) -> Path:
    """The shipped judge under another version, with a report."""

    def fill(directory: Path) -> None:
        shutil.copy(EMBEDDED / TENSORS, directory)
        card = json.loads((EMBEDDED / CARD).read_text("utf-8"))
        (directory / CARD).write_text(json.dumps({**card, "version": version}), "utf-8")

    write_judge(place, {**ACCEPTED, **report}, fill)
    return place


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return make_judge(tmp_path / "first", "1")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return make_judge(tmp_path / "second", "2", prior="linear@1")
