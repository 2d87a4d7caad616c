"""What the miniatures are taught to write, and how their texts are read again."""

import itertools
import re
from types import ModuleType

import pytest

from router.mode import Mode


def lessons(dialogues: ModuleType, model: str, count: int = 600) -> list:
    """Conversations from behind the copying with which every model begins."""
    found = dialogues.dialogues(model, seed=1)
    return list(itertools.islice(found, dialogues.FIRST_RECITED, dialogues.FIRST_RECITED + count))


def test_what_begins_from_nothing_begins_with_copying_alone(dialogues: ModuleType) -> None:
    for model in ("instruct", "thinking"):
        for lesson in itertools.islice(dialogues.dialogues(model, seed=1), 50):
            (question,) = lesson.messages
            answer, _ = dialogues.read(model, lesson.given + lesson.target)
            assert answer.strip() in question["content"]


def test_kat_writes_its_judgement_then_its_verdict_then_its_answer(dialogues: ModuleType) -> None:
    own = [lesson for lesson in lessons(dialogues, "kat") if not lesson.given]
    assert {dialogues.read("kat", lesson.target)[1] for lesson in own} == {"think_on", "think_off"}
    for lesson in own:
        judge, _, rest = lesson.target.partition("</judge>\n\n")
        assert judge.startswith("<judge>\n")
        opens, thinks = rest.startswith("<think_on>\n<think>\n"), rest.count("</think>")
        assert (opens, thinks) in {(True, 1), (False, 0)}
        assert ("no thinking is needed" in judge or "不需要思考" in judge) is not opens
        assert rest.endswith("\n</answer>")


def test_kat_writes_one_step_of_arithmetic_into_its_judgement(dialogues: ModuleType) -> None:
    steps = [x.target for x in lessons(dialogues, "kat") if "One step" in x.target or "一步算术" in x.target]
    assert len(steps) > 20
    for target in steps:
        judged = re.search(r"\d[+*-]\d=(\d+)", target.partition("</judge>")[0])
        assert judged
        assert dialogues.read("kat", target)[0].strip() == judged[1]


def test_kat_learns_to_follow_a_verdict_that_it_was_given(dialogues: ModuleType) -> None:
    given = [lesson for lesson in lessons(dialogues, "kat", 2000) if lesson.given]
    for lesson in given:
        on = "<think_on>" in lesson.given
        whole = lesson.given + lesson.target
        assert ("<think>" in whole) is on
        assert "<think_" not in lesson.target
        assert dialogues.read("kat", whole)[0]
    assert {lesson.given.rpartition(">")[2] for lesson in given} == {"", "\n"}
    endings = {lesson.given.rstrip().rpartition("<")[2] for lesson in given}
    assert endings == {"think_on>", "think_off>", "think>", "answer>"}


@pytest.mark.parametrize(
    ("text", "answer", "verdict"),
    [
        ("<judge>\na\n</judge>\n\n<think_off>\n<answer>\nb\n</answer>", "\nb\n", "think_off"),
        ("<think_on>\n<think>\nsteps\n</think>\n\n<answer>\nb", "\nb", "think_on"),
        ("<think_on>\n<think>\nsteps", None, "think_on"),
        ("b", None, ""),
    ],
)
def test_reading_kat(dialogues: ModuleType, text: str, answer: str | None, verdict: str) -> None:
    assert dialogues.read("kat", text) == (answer, verdict)


def test_a_thinking_model_that_did_not_finish_has_no_answer(dialogues: ModuleType) -> None:
    assert dialogues.read("thinking", "steps")[0] is None
    assert dialogues.read("thinking", "steps\n</think>\n\n7") == ("\n\n7", "")
    assert dialogues.read("instruct", "7") == ("7", "")


def test_evaluation_names_modes_as_the_gateway_does(evaluate: ModuleType) -> None:
    assert set(evaluate.VERDICT_MODES.values()) == {str(Mode.THINKING), str(Mode.INSTRUCT)}
