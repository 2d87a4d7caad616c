"""Whole lines count, a torn one does not, and a full disk leaves the file as it was."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.learning.files import FileTrouble
from app.learning.journal import Journal

SETTINGS = {"grader": "exact", "samples": 1}


def written(path: Path) -> list[str]:
    return [row["id"] for line in path.read_text().splitlines() if "id" in (row := json.loads(line))]


def test_what_was_kept_is_done_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.append({"id": "a", "text": "你好\ud800"})
    with Journal(path, SETTINGS) as journal:
        assert journal.done == {"a"}
        journal.append({"id": "b"})
    assert written(path)[1:] == ["b"]


def test_a_torn_last_line_is_dropped_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.append({"id": "a"})
        journal.append({"id": "b"})
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path, SETTINGS) as journal:
            ends = [len(b"".join(lines[: n + 1])) for n in range(3)]
            assert journal.done == {name for name, end in zip("ab", ends[1:], strict=True) if end <= cut}
            journal.append({"id": "c"})
        assert written(path)[-1] == "c"


def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "out.jsonl", os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        real(file, data[:5], offset)  # some of it fits
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path, SETTINGS) as journal:
        journal.append({"id": "a"})
        before = path.read_bytes()
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(FileTrouble, match="no space left on device; make room"):
            journal.append({"id": "b"})
        assert path.read_bytes() == before
        assert journal.done == {"a"}


def test_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Journal(path, SETTINGS):
        pass
    with (
        pytest.raises(FileTrouble, match="begun with other settings \\(samples 1\\)"),
        Journal(path, {**SETTINGS, "samples": 2}),
    ):
        pass


def test_two_runs_on_one_file_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.jsonl", SETTINGS), pytest.raises(FileTrouble, match="another run"):  # noqa: SIM117
        with Journal(tmp_path / "out.jsonl", SETTINGS):
            pass


@pytest.mark.parametrize("content", ['{"id": "mine"}\n', "prose\n", '{"thinkgate_label": 1}\n{"no": "id"}\n'])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(content)
    with pytest.raises(FileTrouble, match="name another --out"), Journal(path, SETTINGS):
        pass
    assert path.read_text() == content


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    settings: dict[str, Any] = {}
    with pytest.raises(FileTrouble, match="no such file"), Journal(tmp_path / "none" / "out.jsonl", settings):
        pass
