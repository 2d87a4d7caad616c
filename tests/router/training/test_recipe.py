"""From data files to a judge, and what is said about it."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from router.conversation import Conversation
from router.judges import load_judge
from router.training.corpus import is_generated
from router.training.dataset import data_files, read_examples
from router.training.features import features_of
from router.training.holdout import held_out_models
from router.training.model import Recipe, fit
from router.training.plots import draw_report
from router.training.recipe import train
from router.training.report import judge_report, left_out_report
from router.training.tables import table_of

SMALL = Recipe(bits=16, iterations=8)
FIRST_BYTES_OF_PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sources: maths (hard), arithmetic and chat (easy)."""
    directory = tmp_path_factory.mktemp("data")
    rng = random.Random(0)
    rows = []
    makers: list[tuple[str, str, str, Callable[[int], str]]] = [
        (
            "maths",
            "math/competition",
            "think",
            lambda n: f"Find all integers x such that 7 divides x^2 + {n}x.",
        ),
        ("proofs", "math/olympiad", "think", lambda n: f"Prove that n^{n} - n is even for every integer n."),
        ("chat", "chat/talk", "no_think", lambda n: f"Tell me something nice about town {n}, please."),
        ("sums", "math/one_step", "no_think", lambda n: f"Tom has {n} apples and buys 3. How many has he now?"),
    ]
    for source, domain, label, make in makers:
        for number in range(60):
            row = {"id": f"{source}{number}", "source": source, "lang": "en", "domain": domain, "license": "MIT"}
            row |= {"prompt": make(number + 2), "weak_label": label}
            if label == "think":
                gain = rng.random()
                row |= {"p_instruct": 1 - gain, "p_thinking": 1.0, "outcome_label": "think" if gain > 0.2 else None}
            rows.append(json.dumps(row))
    (directory / "rows.jsonl").write_text("\n".join(rows) + "\n")
    return directory


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("judge")
    train(data, out, recipe=SMALL, version="2026.1")
    return out


def test_a_trained_judge_loads_and_ranks(trained: Path) -> None:
    judge = load_judge("linear", path=trained)
    assert judge.version == "2026.1"
    hard = judge.score(Conversation(ask="Prove that there are infinitely many integers with this property.")).score
    assert hard > judge.score(Conversation(ask="Tell me about your town, please.")).score


def test_the_card_lists_sources_licences_and_thresholds(trained: Path) -> None:
    card = json.loads((trained / "judge.json").read_text())
    assert {"maths", "chat"} <= {source["source"] for source in card["sources"]}
    assert card["thresholds"].keys() == {str(ratio) for ratio in range(5, 100, 5)}
    assert card["metrics"]["weak_label"]["auroc"] > 0.5


def test_training_twice_gives_the_same_weights(data: Path, trained: Path, tmp_path: Path) -> None:
    train(data, tmp_path, recipe=SMALL, version="2026.1")
    for name in ("weights.safetensors", "judge.json"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_serving_computes_the_features_that_training_saw(trained: Path) -> None:
    judge = load_judge("linear", path=trained)
    conversations = [Conversation(ask=text) for text in ("hi", "Prove it: 2^10 > 1000!", "证明" * 40, "word " * 700)]
    features = features_of(conversations, SMALL.bits)
    weights = judge.weights  # type: ignore[attr-defined]
    turned = features.orders @ weights.orders.turning + weights.orders.bias
    words = features.grams @ weights.table * 2 / (1 + np.exp(-turned))
    pushed = features.shape @ weights.shape + features.orders @ weights.orders.pushing
    expected = words + pushed + weights.bias
    assert np.allclose(expected, [judge.logit(one) for one in conversations], atol=0.02)  # type: ignore[attr-defined]


def test_a_left_out_source_is_never_trained_on(data: Path) -> None:
    examples = read_examples(data_files(data))
    features = features_of([example.conversation for example in examples], SMALL.bits)
    for name, rows, _ in held_out_models(examples, features, SMALL, lambda example: example.source, is_generated):
        assert {examples[row].source for row in rows} == {name}


def test_own_rows_are_learned(data: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.jsonl"
    rows = [{"source": "mine", "prompt": f"zorblax quibble {n}", "weak_label": "think"} for n in range(80)]
    extra.write_text("\n".join(map(json.dumps, rows)))
    train(data, tmp_path / "judge", [extra], recipe=SMALL)
    judge = load_judge("linear", path=tmp_path / "judge")
    assert judge.score(Conversation(ask="zorblax quibble 99")).score > 0.5


def test_an_order_decides_about_a_text_that_it_hands_over() -> None:
    """Hard and easy texts, each under orders to translate and to solve: a sum over words cannot fit these."""
    asks, targets = [], []
    for number in range(60):
        for text in (f"Prove that the polynomial {number} has integer roots.", f"Tom bought {number} apples."):
            hard = float(text.startswith("Prove"))
            asks += [f"Translate: {text}", f"Please solve the following: {text}", text]
            targets += [0.0, hard, hard]
    features = features_of([Conversation(ask=ask) for ask in asks], 16)
    ones = np.ones(len(asks))
    recipe = Recipe(bits=16, least_sources=1, gram_penalty=0.1, iterations=80)
    model = fit(features, np.array(targets), ones, np.arange(len(asks)) % 5, recipe)
    held_out = "Show that the sequence of integers is a geometric series with an even remainder."
    asked = [Conversation(ask=prefix + held_out) for prefix in ("Translate: ", "", "Please solve the following: ")]
    translated, plain, solved = model.logits(features_of(asked, 16)).tolist()
    assert translated < plain - 0.5
    assert translated < solved - 0.5


def test_a_calibration_can_be_taken_over(data: Path, trained: Path, tmp_path: Path) -> None:
    card = train(data, tmp_path, recipe=SMALL, calibrated_like=trained)
    assert card["calibration"] == json.loads((trained / "judge.json").read_text())["calibration"]


def test_a_report_has_the_judge_beside_every_baseline_and_draws_itself(data: Path, tmp_path: Path) -> None:
    report = left_out_report(read_examples(data_files(data)), SMALL)
    assert report["traffic"]["curves"].keys() == {
        "judge", "random", "length", "keywords", "shuffled at equal cost", "domain oracle", "outcome oracle",
    }  # fmt: skip
    assert 0.0 <= report["calibration"]["ece"] <= 1.0
    json.dumps(report)
    files = draw_report(report, tmp_path)
    assert {path.name for path in files} >= {"reliability.png", "traffic.png", "auroc.png"}
    assert all(path.read_bytes().startswith(FIRST_BYTES_OF_PNG) for path in files)
    assert "APGR" in table_of(report).upper()


def test_a_finished_judge_is_reported_on_as_it_is(data: Path, trained: Path) -> None:
    report = judge_report(read_examples(data_files(data)), load_judge("linear", path=trained))  # type: ignore[arg-type]
    assert report["judge"] == "linear@2026.1"
    assert report["weak_label"]["auroc"] > 0.8


def test_shared_weights_of_a_concept_reach_words_that_training_never_saw(data: Path) -> None:
    examples = read_examples(data_files(data))
    conversations = [example.conversation for example in examples]
    model = fit(
        features_of(conversations, 18),
        np.array([example.target for example in examples]),
        np.ones(len(examples)),
        np.arange(len(examples)) % 5,
        Recipe(bits=18, iterations=30),
    )
    german, talk = features_of([Conversation(ask="Beweise den Satz."), Conversation(ask="Guten Tag.")], 18), 0
    logits = model.logits(german)
    assert logits[0] > logits[1] + 0.1 + talk
