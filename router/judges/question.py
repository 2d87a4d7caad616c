"""The llm judge's question and how its answer is read. Knows words and log-probabilities; does no I/O.

The question is *appended* after the conversation, so that the backend's prefix cache holds everything before it: when
the same pool then answers the request, its prefill is nearly free.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, Final

QUESTION: Final = (
    "Before answering, decide: does a correct answer to the request above need careful step-by-step reasoning (maths, "
    "logic, planning, difficult code), or can it be given at once (chat, facts, translation, summaries, extraction)? "
    "Reply with one letter only: Y if reasoning is needed, N if not."
)
YES: Final = frozenset({"y", "yes", "是"})
NO: Final = frozenset({"n", "no", "否", "不"})


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and which tokens mean yes and no (compared without white space and case)."""

    text: str = QUESTION
    yes: frozenset[str] = YES
    no: frozenset[str] = NO

    def appended(self, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """`messages` with the question behind them; all that was there stays as it was, byte for byte.

        A last user turn gets the question as a turn of its own, which chat templates render after it.
        """
        return [*messages, {"role": "user", "content": self.text}]

    def request_fields(self) -> dict[str, Any]:
        """The body fields that make a backend answer with one token and its alternatives (vLLM and OpenAI names)."""
        return {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": 20, "stream": False}

    def probability(self, alternatives: Iterable[tuple[str, float]]) -> float | None:
        """P(yes) from the first token's alternatives (token, natural log-probability), normalised over yes and no.

        None where neither is among them: the model did not answer the question.
        """
        mass = {True: 0.0, False: 0.0}
        for token, logprob in alternatives:
            word = token.strip().lower()
            if word in self.yes or word in self.no:
                mass[word in self.yes] += exp(min(0.0, logprob))
        total = mass[True] + mass[False]
        return mass[True] / total if total > 0.0 else None

    def read(self, body: object) -> float | None:
        """P(yes) from a chat completion's JSON body, or None where it holds no usable log-probabilities."""
        return self.probability(first_alternatives(body))


def first_alternatives(body: object) -> list[tuple[str, float]]:
    """(token, log-probability) of each alternative of the first answer token in a chat completion; of any shape."""
    found: list[tuple[str, float]] = []
    try:
        content = body["choices"][0]["logprobs"]["content"][0]  # type: ignore[index]
        for entry in [*content.get("top_logprobs", ()), content]:
            found.append((str(entry["token"]), float(entry["logprob"])))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        pass
    return list(dict(reversed(found)).items())
