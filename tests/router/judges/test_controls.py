"""The judges that are there to compare with: constant, random, heuristic; and the factory."""

import pytest

from router.conversation import Conversation, read_conversation
from router.judges import JUDGE_KINDS, JudgeError, load_judge


def test_a_constant_judge_has_one_answer() -> None:
    judge = load_judge("constant", score=0.25)
    assert {judge.score(Conversation(ask=text)).score for text in ("", "hi", "prove it")} == {0.25}


def test_a_constant_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(JudgeError, match=r"\[0, 1\]"):
        load_judge("constant", score=1.5)


def test_random_scores_repeat_for_the_same_text_and_seed_only() -> None:
    one, other = load_judge("random", seed=1), load_judge("random", seed=2)
    conversation = Conversation(ask="hello \ud800")
    assert one.score(conversation) == one.score(conversation)
    assert one.score(conversation).score != other.score(conversation).score
    assert one.score(conversation).score != one.score(Conversation(ask="hallo")).score


def test_random_scores_are_spread_evenly() -> None:
    judge = load_judge("random")
    scores = [judge.score(Conversation(ask=str(number))).score for number in range(2000)]
    assert all(150 < sum(step / 10 <= score < (step + 1) / 10 for score in scores) < 250 for step in range(10))


@pytest.mark.parametrize(
    ("easy", "hard"),
    [
        ("Translate this into French: good morning", "Prove that sqrt(2) is irrational"),
        ("谢谢，今天天气怎么样", "求证：存在无穷多个质数"),
        ("Summarize the text below", "Solve this logic puzzle with the following clues"),
    ],
)
def test_the_heuristic_orders_plain_cases(easy: str, hard: str) -> None:
    judge = load_judge("heuristic")
    low = judge.score(read_conversation([{"role": "user", "content": easy}])).score
    high = judge.score(read_conversation([{"role": "user", "content": hard}])).score
    assert low < 0.5 <= high


@pytest.mark.parametrize("kind", ["linear", "heuristic", "constant", "random"])
def test_every_judge_explains_the_score_that_it_gives(kind: str) -> None:
    judge = load_judge(kind)
    conversation = Conversation(ask="How many integers n satisfy n^2 < 50?")
    assert judge.explain(conversation).score == judge.score(conversation).score
    assert judge.score(conversation).version == judge.version


def test_unknown_kinds_and_options_are_refused_in_words() -> None:
    with pytest.raises(JudgeError, match="known are linear"):
        load_judge("oracle")
    with pytest.raises(JudgeError, match="heuristic"):
        load_judge("heuristic", path="x")
    assert set(JUDGE_KINDS) >= {"linear", "heuristic", "constant", "random", "encoder"}
