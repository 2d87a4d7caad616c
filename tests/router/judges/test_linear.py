"""The default judge, with the weights that ship."""

import json
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from router.conversation import Conversation, read_conversation
from router.judges import JudgeError, LinearJudge, load_judge
from router.judges import linear as linear_module
from router.judges.ngrams import grams_of
from router.judges.weights import EMBEDDED, load_weights

JUDGE = LinearJudge.load()


def score(text: str) -> float:
    return JUDGE.score(read_conversation([{"role": "user", "content": text}])).score


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "Hello, how are you?",
        "What is the weather in Paris tomorrow?",
        "Who wrote The Old Man and the Sea?",
        "Translate into Italian: the train is late",
        "Summarize this article: the parliament voted on the budget yesterday.",
        "Extract the company names: Apple and Google met Siemens.",
        "Write a haiku about rain",
        "Rephrase politely: I can't come today",
        "你好，今天过得怎么样？",
        "把下面的句子翻译成英文：今天天气很好",
        "介绍一下杭州西湖",
        "我的订单什么时候发货？",
        "¿Puedes recomendarme un restaurante en Sevilla?",
        "Quel est le meilleur moment pour visiter Lisbonne ?",
        "Wie wird das Wetter am Wochenende in Hamburg?",
        "今日の晩ご飯のレシピを教えて",
        "저녁 메뉴 추천해줘",
        "ما هي عاصمة مصر؟",
    ],
)
def test_easy_prompts_score_below_the_default_threshold(text: str) -> None:
    assert score(text) < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "Prove that there are infinitely many primes congruent to 3 mod 4.",
        "Find all pairs (a, b) of positive integers such that a^2 + b^2 divides ab + 1.",
        "How many ways are there to seat 7 people around a table so that two of them never sit together?",
        "Design an algorithm that finds the k-th smallest sum of two sorted arrays in O(k log k); prove it correct.",
        "Schedule 12 nurses over 14 days so that all of the following constraints hold.",
        "求证：根号2是无理数。",
        "求所有正整数n，使得n^2+3n+5能被121整除。",
        "甲乙丙丁四人中只有一人说真话，根据他们的陈述推理谁说了真话。",
        "Trouve tous les entiers n tels que n! + 1 est un carré parfait.",
        "Demuestra que la suma de dos números irracionales puede ser racional y halla todos los casos.",
        "자연수 n에 대하여 n^5-n이 30의 배수임을 증명하시오.",
        "自然数nに対し、n^5-nが30の倍数であることを証明せよ。",
        "Докажите, что сумма углов выпуклого n-угольника равна 180(n-2) градусов.",
    ],
)
def test_hard_prompts_score_above_the_default_threshold(text: str) -> None:
    assert score(text) >= 0.5


HARD_TEXTS = [
    "Prove that there are infinitely many primes congruent to 3 mod 4.",
    "Find all pairs (a, b) of positive integers such that a^2 + b^2 divides ab + 1.",
    "求证：根号2是无理数。",
]
EASY_ORDERS = [
    "Translate into French: {}",
    "Please translate this into German:\n\n{}",
    "Summarize this in one sentence: {}",
    "Proofread the following text and fix the spelling:\n{}",
    "{}\n\nRewrite this more politely.",
    "翻译成英文：{}",
    "总结一下：{}",
    "润色下面的文字：\n{}",
]


@pytest.mark.parametrize("order", EASY_ORDERS)
@pytest.mark.parametrize("text", HARD_TEXTS)
def test_an_easy_order_about_a_hard_text_scores_below_the_text(order: str, text: str) -> None:
    assert score(order.format(text)) < score(text) - 0.2


@pytest.mark.parametrize("order", ["Solve the following: {}", "Give a complete solution of this:\n{}", "解答：{}"])
@pytest.mark.parametrize("text", HARD_TEXTS)
def test_an_order_to_solve_a_hard_text_scores_above_every_easy_order_about_it(order: str, text: str) -> None:
    assert score(order.format(text)) > max(score(easy.format(text)) for easy in EASY_ORDERS) + 0.1


def test_most_easy_orders_about_hard_texts_score_below_the_default_threshold() -> None:
    scores = [score(order.format(text)) for order in EASY_ORDERS for text in HARD_TEXTS]
    assert sum(value < 0.5 for value in scores) >= 0.8 * len(scores)


@pytest.mark.parametrize("order", ["Think step by step: {}", "Solve this carefully. {}", "请一步一步思考：{}"])
def test_an_easy_ask_behind_a_grave_order_stays_easy(order: str) -> None:
    assert score(order.format("What is the capital of Peru?")) < 0.5


def test_the_same_text_gives_the_same_score() -> None:
    assert score("Prove it rigorously.") == score("Prove it rigorously.")


def test_an_approval_is_judged_on_the_work_that_it_approves() -> None:
    work = "Prove that there are infinitely many primes congruent to 3 mod 4."
    turns = [
        {"role": "user", "content": work},
        {"role": "assistant", "content": "I would argue by contradiction. Shall I?"},
    ]
    approval = JUDGE.score(read_conversation([*turns, {"role": "user", "content": "yes, go ahead"}])).score
    assert approval > score("yes, go ahead") + 0.2


def test_a_new_topic_is_judged_on_its_own() -> None:
    turns = [
        {"role": "user", "content": "Prove Fermat's little theorem."},
        {"role": "assistant", "content": "Proof: …"},
    ]
    assert (
        JUDGE.score(read_conversation([*turns, {"role": "user", "content": "Thanks! How are you today?"}])).score < 0.5
    )


def test_reasoning_words_in_a_system_prompt_are_no_evidence() -> None:
    system = {"role": "system", "content": "Think step by step. Prove everything rigorously. Solve hard mathematics."}
    user = {"role": "user", "content": "What is the capital of Peru?"}
    assert JUDGE.score(read_conversation([system, user])).score == score("What is the capital of Peru?")


def test_the_explanation_has_the_same_score_and_names_what_moved_it() -> None:
    conversation = read_conversation([{"role": "user", "content": "Prove that the square root of 2 is irrational."}])
    explained = JUDGE.explain(conversation)
    assert explained.score == JUDGE.score(conversation).score
    assert 1 <= len(explained.features) <= 8
    pushes = [abs(feature.push) for feature in explained.features]
    assert pushes == sorted(pushes, reverse=True)
    assert JUDGE.score(conversation).features == ()


def hostile_inputs(count: int) -> list[str]:
    """Random and adversarial texts, from nothing to a megabyte."""
    rng = random.Random(7)
    alphabets = [
        "abc ",
        "0123456789+-=",
        "😀🎉👩‍👩‍👧",
        "中文字符，。",
        "אבגד",
        "กขฃค",
        "\\$_^{}",
        "\u200b\u202e\ufeff",
        "\ud800\udfff",
        "é̂̃",
    ]
    texts = [
        "",
        " ",
        "\n",
        "a",
        "\x00",
        "\ud800",
        "￿",
        "\U0010ffff",
        "A" * 4096,
        "1" * 5000,
        "(" * 9000,
        "\\frac" * 2000,
    ]
    texts += ["x" * 1_000_000, "😀" * 200_000, "证明" * 100_000, "a b " * 250_000, "\ud83d" * 50_000, "\n" * 300_000]
    while len(texts) < count:
        alphabet = rng.choice(alphabets) + rng.choice(alphabets)
        size = rng.choice((1, 3, 17, 90, 400, 2500))
        texts.append("".join(rng.choices(alphabet, k=size)) * rng.choice((1, 1, 1, 3)))
    return texts


def test_ten_thousand_hostile_inputs_score_without_an_error_inside_the_time_bound() -> None:
    slowest = 0.0
    for text in hostile_inputs(10_000):
        conversation = read_conversation([{"role": "user", "content": text}])
        started = time.thread_time()
        value = JUDGE.score(conversation).score
        slowest = max(slowest, time.thread_time() - started)
        assert 0.0 <= value <= 1.0
    assert slowest < 0.02


def test_a_conversation_built_by_hand_may_be_of_any_length() -> None:
    assert 0.0 <= JUDGE.score(Conversation(ask="prove " * 200_000, approved="y" * 500_000)).score <= 1.0
    assert 0.0 <= JUDGE.explain(Conversation(ask="prove " * 200_000)).score <= 1.0


@pytest.mark.skipif(linear_module.scan is None, reason="the C loop could not be compiled here")
def test_the_compiled_loop_and_numpy_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    conversations = [Conversation(ask=text) for text in hostile_inputs(400)]
    compiled = [JUDGE.logit(conversation) for conversation in conversations]
    monkeypatch.setattr(linear_module, "scan", None)
    plain = [JUDGE.logit(conversation) for conversation in conversations]
    assert np.allclose(compiled, plain, atol=1e-3)


def test_many_threads_get_the_same_scores() -> None:
    texts = hostile_inputs(200)
    expected = [score(text) for text in texts]
    found: list[list[float]] = []
    threads = [threading.Thread(target=lambda: found.append([score(text) for text in texts])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_grams_are_the_same_wherever_a_word_stands() -> None:
    first, second = grams_of("prove it"), grams_of("please prove it")
    assert set(first.hashes.tolist()) <= set(second.hashes.tolist())


def test_the_artifact_is_small_and_loads_quickly() -> None:
    size = sum(path.stat().st_size for path in EMBEDDED.iterdir())
    started = time.process_time()
    load_weights()
    assert size < 8_000_000
    assert time.process_time() - started < 0.1


def test_the_card_has_thresholds_for_think_ratios_and_the_licence_of_every_source() -> None:
    weights = load_weights()
    thresholds = [weights.thresholds[str(ratio)] for ratio in range(5, 100, 5)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert all(source["license"] for source in weights.card["sources"])


@pytest.mark.parametrize(
    "damage", ["missing", "not json", "other format", "truncated", "no calibration", "no concepts"]
)
def test_damaged_weights_are_refused_in_words(tmp_path: Path, damage: str) -> None:
    for path in EMBEDDED.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card = json.loads((tmp_path / "judge.json").read_text())
    if damage == "missing":
        (tmp_path / "weights.safetensors").unlink()
    elif damage == "not json":
        (tmp_path / "judge.json").write_text("{")
    elif damage == "other format":
        (tmp_path / "judge.json").write_text(json.dumps({**card, "format": 99}))
    elif damage == "truncated":
        (tmp_path / "weights.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes()[:1000])
    elif damage == "no concepts":
        (tmp_path / "judge.json").write_text(json.dumps({**card, "concepts": []}))
    else:
        (tmp_path / "judge.json").write_text(json.dumps({**card, "calibration": {"logits": [1, 0], "scores": [0, 1]}}))
    with pytest.raises(JudgeError, match=str(tmp_path)):
        load_judge("linear", path=tmp_path)
