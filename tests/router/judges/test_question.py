"""The llm judge's question, its answer, and the cascade around it."""

from math import log
from typing import Any

import pytest

from router.judges import JudgeError
from router.judges.cascade import CascadePolicy
from router.judges.question import Question, first_alternatives


def body(*alternatives: tuple[str, float]) -> dict[str, Any]:
    entries = [{"token": token, "logprob": logprob} for token, logprob in alternatives]
    return {"choices": [{"logprobs": {"content": [{**entries[0], "top_logprobs": entries}]}}]}


def test_the_question_comes_after_the_conversation_which_stays_as_it_was() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    asked = Question().appended(messages)
    assert asked[:2] == messages
    assert asked[2]["role"] == "user"
    assert len(messages) == 2


def test_the_probability_is_normalised_over_yes_and_no() -> None:
    answer = body(("Y", log(0.6)), ("N", log(0.2)), ("Maybe", log(0.1)))
    assert Question().read(answer) == pytest.approx(0.75)


def test_variants_of_a_letter_add_up() -> None:
    answer = body(("N", log(0.4)), (" y", log(0.3)), ("Yes", log(0.3)))
    assert Question().read(answer) == pytest.approx(0.6)


def test_the_chosen_token_counts_once() -> None:
    assert (
        first_alternatives(body(("Y", -0.1), ("N", -2.0))) == [("Y", -0.1), ("N", -2.0)]
        or len(first_alternatives(body(("Y", -0.1), ("N", -2.0)))) == 2
    )


NO_VERDICTS: list[Any] = [
    None,
    {},
    [],
    "x",
    {"choices": []},
    {"choices": [{"logprobs": None}]},
    {"choices": [{"logprobs": {"content": []}}]},
    {"choices": [{"logprobs": {"content": [{"token": "Y"}]}}]},
    body(("Perhaps", -0.1)),
]


@pytest.mark.parametrize("answer", NO_VERDICTS)
def test_an_answer_without_a_verdict_is_none(answer: Any) -> None:
    assert Question().read(answer) is None


def test_one_token_is_asked_for_with_its_alternatives() -> None:
    fields = Question().request_fields()
    assert (fields["max_tokens"], fields["logprobs"]) == (1, True)


def test_a_second_judge_is_asked_only_near_the_threshold() -> None:
    policy = CascadePolicy(margin=0.1)
    assert [policy.should_ask(score, 0.5) for score in (0.3, 0.41, 0.5, 0.59, 0.7)] == [False, True, True, True, False]


def test_a_second_judge_that_says_nothing_leaves_the_first_ones_word() -> None:
    policy = CascadePolicy(weight=0.75)
    assert policy.combined(0.4, None) == 0.4
    assert policy.combined(0.4, 0.8) == pytest.approx(0.7)


def test_a_margin_beyond_the_scale_is_refused() -> None:
    with pytest.raises(JudgeError, match="margin"):
        CascadePolicy(margin=2.0)
