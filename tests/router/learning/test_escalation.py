"""Bounds on drafts' log-probabilities, chosen from outcomes that are known."""

import random

import numpy as np
import pytest

from router.conversation import read_conversation
from router.learning.escalation import Bound, Drafts, area, calibrate, drafts_of, effect, watched
from router.learning.outcomes import Outcomes

TOLD = ((-0.1, -0.1, -0.1), (-3.0, -0.1, -0.1), (-0.1, -0.1, -3.0))


def made(scores: list[float], logprobs: tuple[tuple[float, ...], ...] = TOLD) -> Drafts:
    """Instruct is wrong throughout, for 3 tokens; thinking right, for 50."""
    count = len(scores)
    return Drafts(
        np.array(scores), np.zeros(count), np.ones(count), np.full(count, 3.0), np.full(count, 50.0), logprobs
    )


def drafts(count: int, seed: int = 0, telling: bool = True) -> Drafts:
    """Half of the prompts need thinking. The judge's score says little of which; the drafts much, where `telling`."""
    rng = random.Random(seed)
    columns: list[list[float]] = [[], [], [], [], []]
    logprobs = []
    for number in range(count):
        needs = number % 2 == 1
        unsure = needs if telling else rng.random() < 0.5
        columns[0].append(min(0.99, max(0.01, rng.gauss(0.55 if needs else 0.45, 0.2))))
        columns[1].append(float(not needs))
        columns[2].append(1.0)
        columns[3].append(4.0)
        columns[4].append(60.0)
        logprobs.append(tuple(min(0.0, rng.gauss(-1.2 if unsure else -0.1, 0.1)) for _ in range(4)))
    return Drafts(*map(np.array, columns), tuple(logprobs))


def test_a_draft_is_watched_as_the_gateway_watches_it() -> None:
    assert watched((-0.1, -0.2, -0.3), 2, -0.5) == (True, 2)
    assert watched((-0.1, -2.0, -0.3), 2, -0.5) == (False, 2)
    assert watched((-5.0, 0.0, 0.0), 3, -0.5) == (False, 1), "nothing that follows can bring it up again"
    assert watched((-0.1,), 8, -0.5) == (True, 1)
    assert watched((), 8, -0.5) == (True, 0)


def test_only_doubtful_drafts_of_the_band_are_dropped_and_their_tokens_count() -> None:
    done = effect(made([0.45, 0.45, 0.2]), Bound(0.5, band=0.1, tokens=2, bound=-0.5))
    assert done.thinks.tolist() == [0, 1, 0], "the first was sure, the last lies below the band"
    assert done.wasted.tolist() == [0, 1, 0]
    assert done.tokens.tolist() == [3, 51, 3]
    assert done.correct.tolist() == [0, 1, 0]


def test_scores_above_the_threshold_think_at_once() -> None:
    done = effect(made([0.5, 0.6, 0.9]), Bound(0.5, band=1.0, tokens=2, bound=-0.5))
    assert done.thinks.tolist() == [1, 1, 1]
    assert done.wasted.sum() == 0


def test_drafts_that_tell_are_worth_watching() -> None:
    report = calibrate(drafts(300), price=1.0)
    assert report["check"]["accepted"]
    chosen = report["profile"]["escalation"]
    assert -1.2 < chosen["bound"] < -0.1
    assert report["areas"]["with escalation"] > report["areas"]["judge alone"] + 0.1
    alone, both = report["held_out"]["judge alone"], report["held_out"]["with escalation"]
    assert both["correct"] > alone["correct"] or both["tokens"] < 0.7 * alone["tokens"]
    dropped = [row["dropped"] for row in report["bounds"]]
    assert dropped == sorted(dropped), "a higher bound drops more"
    assert all(row["tokens"] > row["wasted"] for row in report["bounds"])


def test_drafts_that_tell_nothing_are_not() -> None:
    report = calibrate(drafts(300, telling=False), price=1.0)
    assert not report["check"]["accepted"]


def test_a_threshold_that_is_given_stays() -> None:
    report = calibrate(drafts(200), price=1.0, threshold=0.6)
    assert report["profile"]["threshold"] == report["without"]["threshold"] == 0.6


def test_an_area_is_the_best_for_each_budget() -> None:
    curve = [{"tokens": 0.0, "correct": 0.0}, {"tokens": 50.0, "correct": 1.0}, {"tokens": 80.0, "correct": 0.9}]
    assert area(curve, 0, 100) == pytest.approx(0.51)


def test_too_few_labels_or_none_with_log_probabilities_are_told() -> None:
    def outcomes(count: int, tokens: float) -> Outcomes:
        ones, cost = np.ones(count), np.full(count, tokens)
        text = read_conversation([{"role": "user", "content": "x"}])
        return Outcomes((text,) * count, ("",) * count, ones, ones, cost, cost, cost, cost)

    with pytest.raises(ValueError, match="at least 100"):
        drafts_of(np.ones(20), outcomes(20, 1.0), [(-1.0,)] * 20)
    with pytest.raises(ValueError, match="--logprobs"):
        drafts_of(np.ones(100), outcomes(100, 1.0), [()] * 100)
    with pytest.raises(ValueError, match="tokens"):
        drafts_of(np.ones(100), outcomes(100, float("nan")), [(-1.0,)] * 100)
