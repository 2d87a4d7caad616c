"""Labelled prompts of a pair for which thinking helps one kind of prompt and hurts another."""

import random

import pytest

from router.learning.outcomes import Outcomes, read_outcomes

HELPED = ("How many beads does {a} have after trading {n} with {b}?", "Which shelf holds box {n} if {a} moves {b}?")
HURT = ("Write a poem about {a} and {b}, in {n} lines.", "Say hello to {a} from {b}, {n} times.")


def rows(count: int, seed: int = 0, noise: float = 0.1) -> list[dict[str, object]]:
    """Half helped, half hurt by thinking, outcomes turned round at rate `noise`."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        helped = rng.random() < 0.5
        text = rng.choice(HELPED if helped else HURT)
        names = rng.sample(("Ann", "Bo", "Cyd", "Dov", "Eva"), 2)
        right = helped if rng.random() >= noise else not helped
        found.append(
            {
                "id": f"p{number}",
                "prompt": text.format(a=names[0], b=names[1], n=rng.randint(2, 99)),
                "instruct_correct": 0.0 if right else 1.0,
                "thinking_correct": 1.0 if right else 0.0,
                "instruct_tokens": 10,
                "thinking_tokens": 200,
            }
        )
    return found


@pytest.fixture(scope="session")
def labels() -> Outcomes:
    return read_outcomes(rows(120))
