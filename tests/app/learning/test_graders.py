"""Graders: what counts as right, and how a broken one is told."""

from pathlib import Path
from typing import Any

import pytest

from app.learning.graders import BrokenGrader, grader_named
from app.learning.pairwise import read_verdict
from app.learning.schema import SchemaTrouble, check_schema, fits


@pytest.mark.parametrize(
    ("grader", "expected", "answer", "right"),
    [
        ("exact", "Paris", " Paris\n", 1),
        ("exact", "Paris", "paris", 0),
        ("exact", ["Paris", "paris"], "paris", 1),
        ("exact", 7, "7", 1),
        ("number", 42, "It is 6 * 7 = 42.", 1),
        ("number", "1,234.5", "so 1234.5", 1),
        ("number", -3, "x = −3", 1),
        ("number", 42, "42 of 100", 0),
        ("number", 42, "none", 0),
        ("number", "#### 18", "The answer is 18 dollars", 1),
        ("number", 0.333333333, "0.3333333", 1),
        ("choice", "B", "The answer is (B).", 1),
        ("choice", "B", r"So \boxed{B}, although A looks right", 1),
        ("choice", "B", "A is wrong. 答案：B", 1),
        ("choice", "B", "B", 1),
        ("choice", "b", "**Answer: B**", 1),
        ("choice", "B", "A. no\nB. no\nC", 0),
        ("choice", "B", "nothing", 0),
    ],
)
def test_an_answer_is_right_or_not(grader: str, expected: Any, answer: str, right: int) -> None:
    assert grader_named(grader)({"id": "x", "answer": expected}, answer) == right


def test_a_pattern_is_searched_for() -> None:
    grade = grader_named("regex")
    assert grade({"id": "x", "pattern": r"^ok\b"}, "ok then") == 1
    assert grade({"id": "x", "pattern": r"^ok\b"}, "not ok") == 0


SCHEMA = {
    "type": "object",
    "required": ["name", "tags"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ('{"name": "x", "tags": ["a"]}', 1),
        ('```json\n{"name": "x", "tags": []}\n```', 1),
        ('{"name": "", "tags": []}', 0),
        ('{"name": "x", "tags": ["c"]}', 0),
        ('{"name": "x"}', 0),
        ('{"name": "x", "tags": [], "more": 1}', 0),
        ("[]", 0),
        ("no JSON", 0),
        ("[" * 100_000, 0),
    ],
)
def test_json_fits_the_schema_or_not(answer: str, right: int) -> None:
    assert grader_named("schema")({"id": "x", "schema": SCHEMA}, answer) == right


@pytest.mark.parametrize(
    ("value", "schema", "right"),
    [
        (1, {"type": "integer", "minimum": 1, "maximum": 3}, True),
        (4, {"maximum": 3}, False),
        (True, {"type": "integer"}, False),
        (1.0, {"type": "integer"}, True),
        (None, {"type": ["string", "null"]}, True),
        ("abc", {"pattern": "^a.c$"}, True),
        ([1, 2, 3], {"maxItems": 2}, False),
        ({"x": 1}, {"additionalProperties": {"type": "string"}}, False),
        (2, {"anyOf": [{"const": 1}, {"const": 2}]}, True),
        (3, {"anyOf": [{"const": 1}, {"const": 2}]}, False),
    ],
)
def test_keywords_mean_what_json_schema_says(value: Any, schema: dict[str, Any], right: bool) -> None:
    check_schema(schema)
    assert fits(value, schema) is right


@pytest.mark.parametrize("schema", [{"$ref": "#/x"}, {"properties": {"a": {"not": {}}}}, {"type": "text"}, "text"])
def test_a_schema_that_says_more_than_is_checked_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaTrouble):
        check_schema(schema)


@pytest.mark.parametrize(
    ("grader", "row", "says"),
    [
        ("exact", {"id": "r1"}, "row `r1` has no `answer`"),
        ("number", {"id": "r1", "answer": "many"}, "`answer` of row `r1` holds no number"),
        ("regex", {"id": "r1", "pattern": "("}, "`pattern` of row `r1` cannot be used"),
        ("regex", {"id": "r1"}, "`pattern` of row `r1` cannot be used"),
        ("schema", {"id": "r1", "schema": {"$ref": "x"}}, "`schema` of row `r1`"),
        ("schema", {"id": "r1"}, "`schema` of row `r1`"),
    ],
)
def test_a_row_that_cannot_be_graded_is_named(grader: str, row: dict[str, Any], says: str) -> None:
    with pytest.raises(BrokenGrader) as raised:
        grader_named(grader)(row, "7")
    assert says in str(raised.value)


def test_a_python_grader_is_called_with_row_and_answer(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def grade(row, answer):\n    return answer == row['answer'] * 2\n")
    grade = grader_named(f"{path}:grade")
    assert grade({"id": "x", "answer": "ab"}, "abab") == 1
    assert grade({"id": "x", "answer": "ab"}, "ab") == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def grade(row, answer): return 2", "gave 2.0 for row `r1`"),
        ("def grade(row, answer): return None", "failed on row `r1` (TypeError"),
        ("def grade(row, answer): 1 / 0", "failed on row `r1` (ZeroDivisionError"),
        ("def grade(row, answer): return float('nan')", "gave nan"),
        ("def other(): pass", "cannot be loaded (AttributeError"),
        ("import nothing_of_that_name", "cannot be loaded (ModuleNotFoundError"),
        ("def grade(", "cannot be loaded (SyntaxError"),
    ],
)
def test_a_broken_python_grader_is_told(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BrokenGrader) as raised:
        grader_named(f"{path}:grade")({"id": "r1", "answer": "a"}, "a")
    assert says in str(raised.value)


@pytest.mark.parametrize("name", ["fuzzy", "gone.py:grade", ":"])
def test_a_grader_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(BrokenGrader):
        grader_named(name)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("…\nVERDICT: A", "A"), ("verdict: **b**", "B"), ("VERDICT: TIE", "TIE"), ("B", "B"), ("I cannot say", "TIE")],
)
def test_a_models_verdict_is_read(text: str, verdict: str) -> None:
    assert read_verdict(text) == verdict
