"""`thinkgate judge …` on the terminal."""

import argparse
import io
import json
import sys
from pathlib import Path

import pytest

from app.cli import judge as commands


def run(*arguments: str) -> int:
    """The exit status of `thinkgate judge` with these arguments."""
    parser = argparse.ArgumentParser()
    commands.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["judge", *arguments])
    status: int = parsed.run(parsed)
    return status


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_score_writes_rows_in_order(tmp_path: Path) -> None:
    rows = [{"id": n, "prompt": text} for n, text in enumerate(("hi", "Prove that sqrt(7) is irrational.", "谢谢"))]
    status = run("score", "--input", str(write(tmp_path / "in.jsonl", *rows)), "--output", str(tmp_path / "out.jsonl"))
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert status == 0
    assert [row["id"] for row in found] == [0, 1, 2]
    assert [row["mode"] for row in found] == ["instruct", "thinking", "instruct"]
    assert all(set(row) == {"id", "score", "mode"} and 0 <= row["score"] <= 1 for row in found)


def test_score_reports_bad_rows_by_line_and_number_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(
        tmp_path / "in.jsonl", {"id": 1, "prompt": "hi"}, "{oops secret", {"id": 3}, {"id": 4, "prompt": "bye"}
    )
    assert run("score", "--input", str(source), "--output", str(tmp_path / "out.jsonl")) == 1
    errors = capsys.readouterr().err
    assert f"{source}:2:" in errors
    assert f"{source}:3:" in errors
    assert "2 of 4 rows" in errors
    assert "secret" not in errors
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


def test_score_reads_standard_input_and_writes_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pipe:
        buffer = io.BytesIO(b'{"id": "x", "prompt": "hello"}\n')

    monkeypatch.setattr(sys, "stdin", Pipe())
    assert run("score", "--input", "-", "--output", "-", "--judge", "constant") == 0
    assert json.loads(capsys.readouterr().out) == {"id": "x", "score": 0.0, "mode": "instruct"}


def test_score_refuses_to_overwrite_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path / "in.jsonl", {"id": 1, "prompt": "hi"}))
    assert run("score", "--input", path, "--output", path) == 2
    assert "same file" in capsys.readouterr().err


def test_a_missing_file_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", "--input", str(tmp_path / "no.jsonl"), "--output", str(tmp_path / "out.jsonl")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_explain_names_score_judge_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "Prove that the square root of 2 is irrational.") == 0
    first, *reasons = capsys.readouterr().out.splitlines()
    assert "linear@" in first
    assert any("prove" in reason for reason in reasons)


def test_explain_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "--json", "hello") == 0
    assert json.loads(capsys.readouterr().out)["score"] < 0.5


def traffic(tmp_path: Path, outcomes: bool) -> Path:
    hard = [
        "Prove that sqrt(7) is irrational.",
        "Find all integers n such that 7 divides n^2 + 3.",
        "求证：根号5是无理数。",
    ]
    rows = [{"prompt": text, "instruct_correct": 0, "thinking_correct": 1} for text in hard]
    rows += [{"prompt": f"hello number {n}", "instruct_correct": 1, "thinking_correct": 1} for n in range(7)]
    for row in rows:
        row |= {"instruct_tokens": 100, "thinking_tokens": 1000}
    return write(tmp_path / "traffic.jsonl", *(row if outcomes else {"prompt": row["prompt"]} for row in rows))


def test_calibrate_writes_a_profile_for_a_think_ratio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = traffic(tmp_path, outcomes=False)
    out = tmp_path / "profile.yaml"
    assert run("calibrate", "--data", str(data), "--think-ratio", "0.3", "--profile", "mine", "--out", str(out)) == 0
    assert "30.0% of 10 prompts think" in capsys.readouterr().out
    import yaml

    assert 0 < yaml.safe_load(out.read_text())["profiles"]["mine"]["threshold"] < 1


@pytest.mark.parametrize("goal", [("--min-quality", "0.98"), ("--token-budget", "400")])
def test_calibrate_for_quality_and_for_a_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], goal: tuple[str, str]
) -> None:
    assert run("calibrate", "--data", str(traffic(tmp_path, outcomes=True)), *goal) == 0
    text = capsys.readouterr().out
    assert "100.0% of always-thinking accuracy" in text
    assert "370 answer tokens" in text


def test_a_quality_without_outcomes_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("calibrate", "--data", str(traffic(tmp_path, outcomes=False)), "--min-quality", "0.9") == 2
    assert "instruct_correct" in capsys.readouterr().err


def test_evaluate_writes_numbers_and_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"source": f"s{n % 3}", "domain": "chat", "prompt": f"hello {n}", "weak_label": "no_think"} for n in range(60)
    ] + [{"source": "m", "domain": "math", "prompt": f"Prove claim {n}.", "weak_label": "think"} for n in range(60)]
    data = write(tmp_path / "rows.jsonl", *rows)
    assert run("evaluate", "--data", str(data), "--out", str(tmp_path / "report")) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["weak_label"]["auroc"] > 0.95
    assert (tmp_path / "report" / "reliability.png").exists()
    assert "pooled" in capsys.readouterr().out


def test_a_missing_training_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "router.training.recipe", None)
    monkeypatch.setitem(sys.modules, "router.training", None)
    assert run("train", "--data", str(tmp_path), "--out", str(tmp_path)) == 2
    assert "thinkgate[train]" in capsys.readouterr().err
