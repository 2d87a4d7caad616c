"""The miniatures' questions: what training sees, evaluation never asks, and every worked step is true."""

from types import ModuleType

import pytest


def test_training_never_sees_a_question_of_the_evaluation(tasks: ModuleType) -> None:
    asked = {made.prompt for made in tasks.evaluation(800) if made.kind != "chat"}
    seen = {made.prompt for band in tasks.BANDS for made in tasks.generate("train", band, 3000)}
    assert asked
    assert not asked & seen


def test_recital_is_practice_and_belongs_to_no_evaluation(tasks: ModuleType) -> None:
    assert "recite" not in {made.kind for made in tasks.evaluation(800)}
    words = [made.answer.split() for made in tasks.generate("train", "recite", 200) if made.lang == "en"]
    assert {len(found) for found in words} == set(range(1, 7))


@pytest.mark.parametrize("band", ["easy", "middle", "hard"])
def test_every_worked_step_of_arithmetic_is_true(tasks: ModuleType, band: str) -> None:
    for made in tasks.generate("eval", band, 300, kinds=["digit", "sum"]):
        for line in made.reasoning.split("\n"):
            left, equals, right = line.partition("=")
            if equals and left[0].isdigit():
                value = eval(left)  # noqa: S307 - the task's own digits and signs
                assert int(right) == (value if made.kind == "sum" else value % 10), line


def test_an_answer_that_never_came_is_wrong(tasks: ModuleType) -> None:
    made = tasks.generate("eval", "easy", 1)[0]
    assert tasks.grade(made, f"\n\n{made.answer} ")
    assert not tasks.grade(made, None)
