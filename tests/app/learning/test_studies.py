"""The studies behind docs/learning.md, on a few rows: they run, and report what they say they do."""

import json
from pathlib import Path

import pytest

from app.cli import judge_studies
from router.judges.weights import load_weights
from router.learning.outcomes import read_outcomes
from tests.app.learning.test_store import run
from tests.router.learning.conftest import rows


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped judge, which has seen no such source, instead of one that is trained without it."""
    known = read_outcomes({**row, "thinking_correct": 1.0} for row in rows(320, seed=4))
    monkeypatch.setattr(judge_studies, "without_source", lambda _: (known, load_weights()))


def test_a_policys_training_is_reported_with_ablations_references_and_estimators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("simulate", "--data", tmp_path, "--source", "x", "--out", out, "--price", 0.05, "--explore", 0.2)
    assert run(*arguments, "--rounds", 2, "--batch", 80, "--seeds", 1, "--repeats", 2) == 0
    said = capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    names = {entry["name"] for entry in report["runs"]}
    assert {"both rewards", "without the judge reward", "without the answer reward"} < names
    assert {"never thinking", "always thinking", "supervised, both outcomes", "outcomes known"} < names
    assert [row["log"] for row in report["estimators"]] == [40, 53, 160]
    assert all(f"| {name} |" in said for name in names)
    assert (out / "training.png").stat().st_size > 5000
    assert (out / "ablations.png").stat().st_size > 5000


def test_a_learning_curve_is_reported_beside_the_prior(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ("learning-curve", "--data", tmp_path, "--source", "x", "--out", out)
    assert run(*arguments, "--labels", "60,120", "--splits", 1) == 0
    table = json.loads((out / "report.json").read_text())["table"]
    assert [row["labels"] for row in table] == [60, 120]
    assert table[1]["adapted"] > table[1]["prior"]
    assert "| 120 |" in capsys.readouterr().out
    assert (out / "curve.png").stat().st_size > 5000


def test_too_few_questions_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--data", tmp_path, "--source", "x", "--out", tmp_path / "out")
    assert run("simulate", *arguments, "--rounds", 4, "--batch", 80) == 2
    assert run("learning-curve", *arguments, "--labels", "300") == 2
    assert capsys.readouterr().err.count("too few") == 2
