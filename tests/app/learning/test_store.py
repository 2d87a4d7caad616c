"""Promotion: evidence first, then one step; back again; never half, whenever the process dies."""

import argparse
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from app.cli import judge as commands
from app.learning.files import FileTrouble
from app.learning.judge_folder import NoEvidence, read_evidence
from app.learning.store import JudgeStore
from router.judges.linear import LinearJudge
from router.judges.weights import CARD, TENSORS
from tests.app.learning.conftest import make_judge


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    commands.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["judge", *map(str, arguments)])
    status: int = parsed.run(parsed)
    return status


def in_force(store: Path) -> str:
    return LinearJudge.load(store / "current").version


def test_a_judge_is_promoted_and_taken_back(tmp_path: Path, first: Path, second: Path) -> None:
    store = tmp_path / "store"
    assert run("promote", first, "--store", store, "--without-evidence") == 0
    assert in_force(store) == "1"
    assert run("promote", second, "--store", store) == 0
    assert in_force(store) == "2"
    assert run("promote", "--back", "--store", store) == 0
    assert in_force(store) == "1"


def test_going_back_beyond_the_first_changes_nothing(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert run("promote", "--back", "--store", store) == 2
    run("promote", first, "--store", store)
    assert run("promote", "--back", "--store", store) == 2
    assert "no judge was in force before" in capsys.readouterr().err
    assert in_force(store) == "1"


def test_after_going_back_and_on_back_leads_to_what_was_in_force(tmp_path: Path, first: Path, second: Path) -> None:
    store, third = JudgeStore(tmp_path / "store"), make_judge(tmp_path / "third", "3")
    store.promote(first)
    store.promote(second)
    store.back()
    store.promote(third)
    assert in_force(store.directory) == "3"
    store.back()
    assert in_force(store.directory) == "1"


def test_the_store_keeps_its_own_copy(tmp_path: Path, first: Path) -> None:
    JudgeStore(tmp_path / "store").promote(first)
    (first / TENSORS).write_bytes(b"gone")
    assert in_force(tmp_path / "store") == "1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"check": {"accepted": False}}, "nothing to promote"),
        ({"kept_prior": True}, "nothing to promote"),
        ({"check": None}, "nothing to promote"),
        ({"format": 99}, "not a report of this version"),
        ({"kind": "poem"}, "not a report of this version"),
        ({"prior": "linear@0"}, "compared with linear@0, but linear@1 is in force"),
    ],
)
def test_a_judge_without_good_evidence_is_refused(
    tmp_path: Path, first: Path, change: dict[str, object], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    run("promote", first, "--store", store)
    judge = make_judge(tmp_path / "new", "2", **{"prior": "linear@1", **change})
    assert run("promote", judge, "--store", store) == 2
    assert says in capsys.readouterr().err
    assert in_force(store) == "1"


@pytest.mark.parametrize("name", [TENSORS, CARD])
def test_a_file_changed_after_its_report_is_refused(first: Path, name: str) -> None:
    read_evidence(first)
    with (first / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(NoEvidence, match="digest differs"):
        read_evidence(first)


def test_a_report_that_is_not_there_or_not_json_is_told(first: Path) -> None:
    (first / "report.json").write_text("{half")
    with pytest.raises(NoEvidence, match="not JSON"):
        read_evidence(first)
    (first / "report.json").unlink()
    with pytest.raises(NoEvidence, match="cannot be read"):
        read_evidence(first)


def test_weights_that_cannot_be_read_are_refused(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first / TENSORS).write_bytes(b"no tensors")
    assert run("promote", first, "--store", tmp_path / "store", "--without-evidence") == 2
    assert "cannot read the judge's weights" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_directory_of_that_name_is_no_link(tmp_path: Path, first: Path) -> None:
    (tmp_path / "store" / "current").mkdir(parents=True)
    with pytest.raises(FileTrouble, match="not a link"):
        JudgeStore(tmp_path / "store").promote(first)


def test_a_judge_or_back_is_to_be_named_but_not_both(tmp_path: Path, first: Path) -> None:
    assert run("promote", "--store", tmp_path / "store") == 2
    assert run("promote", first, "--back", "--store", tmp_path / "store") == 2


def _promote_for_ever(store: Path, judges: list[Path]) -> None:
    while True:
        for judge in judges:
            JudgeStore(store).promote(judge)


def test_killed_at_any_moment_it_leaves_a_whole_judge(tmp_path: Path, first: Path, second: Path) -> None:
    store = tmp_path / "store"
    JudgeStore(store).promote(first)
    context = multiprocessing.get_context("fork")
    for turn in range(25):
        started = len(list((store / "versions").iterdir()))
        process = context.Process(target=_promote_for_ever, args=(store, [second, first]))
        process.start()
        deadline = time.monotonic() + 60
        while len(list((store / "versions").iterdir())) == started and time.monotonic() < deadline:
            time.sleep(0.001)  # until it has begun
        time.sleep(0.0007 * turn)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert in_force(store) in ("1", "2")
        version = JudgeStore(store).current()
        assert version is not None
        assert json.loads((version.path / "report.json").read_text())["format"] == 1
    JudgeStore(store).promote(second)  # the lock is free, and what was left behind is gone
    assert in_force(store) == "2"
    assert not list((store / "versions").glob(".*"))
