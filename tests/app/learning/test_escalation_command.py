"""`thinkgate judge escalation`: from labels with log-probabilities to a profile, or to nothing."""

import json
import random
from pathlib import Path

import pytest
import yaml

from app.settings import ProfileSettings
from tests.app.learning.test_store import run
from tests.router.learning.conftest import rows


def labels(path: Path, telling: bool = True, kept: bool = True) -> Path:
    """Drafts are unsure where Instruct is wrong, or (not `telling`) by chance; `kept` as `label --logprobs` does."""
    rng = random.Random(3)
    found = [{"thinkgate_label": 1, "settings": {}}, *rows(160, seed=5, noise=0.5)]
    for row in found[1:]:
        unsure = row["instruct_correct"] == 0 if telling else rng.random() < 0.5
        logprobs = [min(0.0, rng.gauss(-1.5 if unsure else -0.1, 0.1)) for _ in range(6)]
        row["instruct_samples"] = [{"correct": row["instruct_correct"], **({"logprobs": logprobs} if kept else {})}]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def test_a_profile_is_written_that_the_gateway_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ("--labels", labels(tmp_path / "labels.jsonl"), "--price", 0.5, "--out", out, "--profile", "quick")
    assert run("escalation", *arguments) == 0
    text = (out / "profile.yaml").read_text()
    profile = ProfileSettings.model_validate(yaml.safe_load(text)["profiles"]["quick"])
    assert profile.escalation is not None
    assert -1.5 < profile.escalation.bound < -0.1
    assert text in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["profile"]["threshold"] == profile.threshold
    assert report["areas"]["with escalation"] > report["areas"]["judge alone"]
    assert (out / "escalation.png").stat().st_size > 5000


def test_where_drafts_tell_nothing_no_profile_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = labels(tmp_path / "labels.jsonl", telling=False)
    assert run("escalation", "--labels", source, "--price", 0.5, "--out", tmp_path / "out") == 1
    assert "no profile is written" in capsys.readouterr().out
    assert not (tmp_path / "out" / "profile.yaml").exists()


def test_labels_without_log_probabilities_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = labels(tmp_path / "labels.jsonl", kept=False)
    assert run("escalation", "--labels", source, "--price", 0.5, "--out", tmp_path / "out") == 2
    assert "--logprobs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_judge_is_trusted_no_further_than_on_kinds_it_has_not_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = labels(tmp_path / "labels.jsonl")
    arguments = ("--labels", source, "--price", 0.5, "--new-kinds")
    assert run("escalation", *arguments, "--out", tmp_path / "none") == 2
    assert "at least 4 are needed" in capsys.readouterr().err
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    grouped = [{**row, "group": f"kind {number % 5}"} for number, row in enumerate(lines)]
    source.write_text("".join(json.dumps(row) + "\n" for row in [lines[0], *grouped[1:]]))
    assert run("escalation", *arguments, "--out", tmp_path / "out") == 0
