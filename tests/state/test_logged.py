"""What is learned from is read from PostgreSQL as it is from SQLite."""

from pathlib import Path

import pytest

from app.decisions.feedback import Verdict, new_feedback
from app.decisions.postgres import PostgresStore
from app.decisions.record import PROMPT_CHARS
from app.decisions.sqlite import SqliteStore
from app.decisions.store import DecisionStore
from app.learning.files import FileTrouble
from app.learning.logged import read_explored, read_prompts
from router.mode import Mode
from tests.app.decisions.conftest import record


def fill(store: DecisionStore) -> None:
    changes = (
        {},
        {"propensity": None},
        {"prompt": None},
        {"status": 500},
        {"prompt": "x" * PROMPT_CHARS},
        {"mode": Mode.INSTRUCT, "propensity": 0.1, "prompt": "100 %"},
        {"time": 1.0},
    )
    store.write(
        [record(id=f"dec_{n}", **{"prompt": f"p{n}", "propensity": 0.9} | each) for n, each in enumerate(changes)]
    )
    for number in range(len(changes)):
        for correct in (False, None, True, None):
            store.give("default", new_feedback(f"dec_{number}", Verdict.GOOD_FIT, correct, None), "")
    store.close()


def test_both_logs_tell_the_same(url: str, tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    fill(PostgresStore(url))
    fill(SqliteStore(str(file)))
    explored = read_explored(url)
    assert [(row["prompt"], row["thinks"]) for row in explored] == [("p0", 1.0), ("100 %", 0.0), ("p6", 1.0)]
    assert explored == read_explored(file)
    assert read_explored(url, 2.0) == read_explored(file, 2.0) == explored[:2]
    assert read_prompts(url) == read_prompts(file)


def test_a_log_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(FileTrouble, match="the PostgreSQL log") as told:
        read_explored("postgresql://somebody:s3cret@127.0.0.1:1/none")
    assert "s3cret" not in str(told.value)
