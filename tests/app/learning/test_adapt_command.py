"""`thinkgate judge adapt` on the terminal, and a gateway that takes what `promote` put in force."""

import json
from pathlib import Path

import pytest

from app.cli.serve import load
from app.learning.journal import Journal
from app.learning.judge_folder import read_evidence
from router.judges.linear import LinearJudge
from tests.app.learning.test_store import run
from tests.router.learning.conftest import rows


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(120)))
    return path


def test_labels_become_a_judge_with_evidence(tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "judge"
    assert run("adapt", "--labels", labels, "--out", out, "--price", 0.1, "--at-threshold", 0.5) == 0
    said = capsys.readouterr().out
    assert "adapted to 120 labels" in said
    assert "at threshold 0.5000" in said
    report = read_evidence(out)
    judge = LinearJudge.load(out)
    assert report["judge"] == f"{judge.name}@{judge.version}"
    assert (out / "adaptation.png").stat().st_size > 5000
    assert run("promote", out, "--store", tmp_path / "store") == 0
    assert LinearJudge.load(tmp_path / "store" / "current").version == judge.version


def test_a_kept_prior_says_so_and_is_not_promoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(80, noise=0.5)))
    assert run("adapt", "--labels", path, "--out", tmp_path / "judge") == 0
    assert "the prior is kept" in capsys.readouterr().out
    assert run("promote", tmp_path / "judge", "--store", tmp_path / "store") == 2
    assert "nothing to promote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--price", "0.1", "--unit", "seconds"), "a price of seconds needs"),
        (("--token-budget", "1"), "even never thinking takes"),
        (("--at-threshold", "1"), "between 0 and 1"),
        (("--price", "-1"), "a price is a number"),
    ],
)
def test_a_goal_that_the_labels_cannot_serve_is_told(
    tmp_path: Path, labels: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("adapt", "--labels", labels, "--out", tmp_path / "judge", *arguments) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "judge").exists()


def test_an_old_result_is_not_written_over(tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "judge").mkdir()
    assert run("adapt", "--labels", labels, "--out", tmp_path / "judge") == 2
    assert "there already" in capsys.readouterr().err


def test_the_gateway_loads_what_the_link_leads_to(tmp_path: Path, labels: Path) -> None:
    run("adapt", "--labels", labels, "--out", tmp_path / "judge")
    run("promote", tmp_path / "judge", "--store", tmp_path / "store")
    config = tmp_path / "thinkgate.yaml"
    config.write_text(
        f"""
pools:
  fast: {{model: i, replicas: ["http://127.0.0.1:1"]}}
  deep: {{model: t, replicas: ["http://127.0.0.1:2"]}}
routes: {{auto: {{instruct: fast, thinking: deep}}}}
judge: {{kind: linear, path: {tmp_path / "store" / "current"}}}
"""
    )
    import argparse

    _, judge = load(argparse.Namespace(config=str(config), host=None, port=None))
    assert judge.version == LinearJudge.load(tmp_path / "judge").version


def test_a_threshold_is_chosen_from_what_label_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "labels.jsonl"
    with Journal(path, {"grader": "exact"}) as journal:
        for row in rows(40):
            journal.append(row)
        journal.append({"id": "x", "prompt": "too long", "error": "status 400"})
    assert run("calibrate", "--data", path, "--min-quality", 0.5) == 0
    assert "of 40 prompts think" in capsys.readouterr().out
