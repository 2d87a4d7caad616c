"""`thinkgate judge learn`: from a decision log with exploration and feedback to a judge, or to nothing."""

import random
from pathlib import Path

import pytest

from app.decisions.feedback import Verdict, new_feedback
from app.decisions.record import PROMPT_CHARS
from app.decisions.sqlite import SqliteStore
from app.learning.judge_folder import read_evidence
from app.learning.logged import read_explored
from router.judges.linear import LinearJudge
from router.mode import Mode
from tests.app.decisions.conftest import record
from tests.app.learning.test_store import run
from tests.router.learning.conftest import rows


def logged(path: Path, count: int, explore: float = 0.2, noise: float = 0.05) -> Path:
    """A log of a gateway that always thinks but where it explores."""
    rng, store = random.Random(1), SqliteStore(str(path))
    questions = rows(count, noise=noise)
    explored = [rng.random() < explore for _ in questions]
    store.write(
        [
            record(
                id=f"dec_{number}",
                prompt=question["prompt"],
                mode=Mode.INSTRUCT if turned else Mode.THINKING,
                propensity=explore if turned else 1 - explore,
            )
            for number, (question, turned) in enumerate(zip(questions, explored, strict=True))
        ]
    )
    for number, (question, turned) in enumerate(zip(questions, explored, strict=True)):
        correct = bool(question["instruct_correct" if turned else "thinking_correct"])
        store.give("default", new_feedback(f"dec_{number}", Verdict.GOOD_FIT, correct, None), "")
    store.close()
    return path


def test_a_log_becomes_a_judge_with_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "judge"
    assert run("learn", "--log", logged(tmp_path / "log.db", 350), "--out", out) == 0
    said = capsys.readouterr().out
    assert "learned from 350 decisions" in said
    report, judge = read_evidence(out), LinearJudge.load(out)
    assert report["kind"] == "policy"
    assert report["judge"] == f"{judge.name}@{judge.version}"
    assert report["think_ratio"] < 0.67 * report["think_ratio_logged"]
    assert run("promote", out, "--store", tmp_path / "store") == 0


def test_outcomes_of_chance_give_no_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("learn", "--log", logged(tmp_path / "log.db", 240, noise=0.5), "--out", tmp_path / "judge") == 1
    assert "nothing is written" in capsys.readouterr().out
    assert not (tmp_path / "judge").exists()


@pytest.mark.parametrize(("count", "explore"), [(100, 0.2), (250, 0.01)])
def test_too_little_to_learn_from_is_told(
    tmp_path: Path, count: int, explore: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("learn", "--log", logged(tmp_path / "log.db", count, explore), "--out", tmp_path / "judge") == 2
    assert "are needed" in capsys.readouterr().err


def test_only_explored_decisions_with_an_outcome_count(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "log.db"))
    usual = {"prompt": "x", "propensity": 0.9}
    changes = ({}, {"propensity": None}, {"prompt": None}, {"status": 500}, {"prompt": "x" * PROMPT_CHARS}, {})
    store.write([record(id=f"dec_{n}", **usual | change) for n, change in enumerate(changes)])
    for number in range(len(changes) - 1):  # nobody says anything of the last
        for correct in (False, None, True, None):
            store.give("default", new_feedback(f"dec_{number}", Verdict.GOOD_FIT, correct, None), "")
    store.close()
    found = read_explored(tmp_path / "log.db")
    assert found == [{"prompt": "x", "thinks": 1.0, "propensity": 0.9, "correct": 1.0, "tokens": 814.0}]
