"""What is read out of a decision log."""

from pathlib import Path

import pytest

from app.decisions.record import PROMPT_CHARS
from app.decisions.sqlite import SqliteStore
from app.learning.files import FileTrouble
from app.learning.logged import read_prompts
from tests.app.decisions.conftest import record


def test_logged_prompts_are_taken_once_and_whole(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "log.db"))
    texts = ["one", "two", "one", None, "x" * PROMPT_CHARS]
    store.write([record(id=f"dec_{n}", prompt=text) for n, text in enumerate(texts)])
    store.close()
    found = read_prompts(tmp_path / "log.db")
    assert [(row["id"], row["prompt"]) for row in found] == [("dec_2", "one"), ("dec_1", "two")]


def test_a_log_that_is_not_there_or_keeps_no_prompt_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble, match=r"none\.db"):
        read_prompts(tmp_path / "none.db")
    store = SqliteStore(str(tmp_path / "log.db"))
    store.write([record()])
    store.close()
    with pytest.raises(FileTrouble, match="keeps no whole prompt"):
        read_prompts(tmp_path / "log.db")
