"""A directory is whole or not there."""

import errno
from pathlib import Path

import pytest

from app.learning.files import FileTrouble, whole_directory


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble, match=r"no space left on device; nothing was written"):  # noqa: SIM117, PT012
        with whole_directory(tmp_path / "judge") as partial:
            (partial / "half").write_text("x")
            raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_bug_while_it_is_filled_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_directory(tmp_path / "judge"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    with pytest.raises(FileTrouble, match="there already"), whole_directory(tmp_path / "judge"):
        pass
