"""Mixes of easy and hard prompts to measure routing on. Knows examples; knows no scores."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from router.conversation import Conversation
from router.training.examples import Example

HARD_SHARE: Final = 0.3
_SHORT: Final = 220  # characters of a short hard prompt
_LONG: Final = 600  # characters of a long easy one

# Instructions that occur in no template: the judge has not been trained on them.
_UNSEEN_INSTRUCTIONS: Final = (
    "Could you turn the text below into Portuguese? Nothing else is needed.",
    "What language is this written in?",
    "Please copy the following text and correct its typos.",
    "Make a title for the text below.",
    "How would you describe the tone of the following passage?",
    "Give me three keywords for this text.",
    "Shorten what follows so that it fits into a text message.",
    "Is there a person's name in this text? Answer yes or no.",
    "Format the following as Markdown.",
    "Put the text below into simpler words for a child.",
    "请把下面的内容译成韩语，不要解答。",
    "给下面的文字起一个标题。",
    "下面这段文字是什么语言写的？",
    "把下面的内容整理成一条短信。",
    "帮我检查下面文字里的错别字。",
)


def easy_or_hard(example: Example) -> int | None:
    """1 for prompts of hard domains (competition maths, hard puzzles), 0 for everyday ones, None for the rest."""
    if example.gain is not None:
        hard = example.label == 1 or (example.domain.startswith("puzzle/") and example.facts.get("level") == "hard")
        return 1 if hard else None
    return (
        0 if example.label == 0 and not example.domain.startswith(("exam/", "math/competition", "medicine")) else None
    )


def traffic(examples: Sequence[Example], hard_share: float = HARD_SHARE, seed: int = 0) -> list[int]:
    """Indices of a mix: hard prompts whose outcomes are known and everyday easy ones, evenly over sources."""
    rng = random.Random(seed)
    hard = _level([index for index, example in enumerate(examples) if easy_or_hard(example) == 1], examples, rng)
    easy = _level([index for index, example in enumerate(examples) if easy_or_hard(example) == 0], examples, rng)
    count = min(len(hard), int(len(easy) * hard_share / (1 - hard_share)))
    return sorted(hard[:count] + easy[: round(count * (1 - hard_share) / hard_share)])


def with_outcomes(example: Example) -> Example:
    """The example with outcomes; an everyday easy prompt counts as answered right by both."""
    return example if example.gain is not None else replace(example, p_instruct=1.0, p_thinking=1.0)


def shortcut_free(examples: Sequence[Example], seed: int = 0) -> list[Example]:
    """Short hard prompts, and long easy ones made of an unseen instruction and the text of a hard one, half and half.

    Length points the wrong way, and formulas and maths words stand on both sides. The easy ones keep the source of
    their text, so that a judge scored on them must not have seen it.
    """
    rng = random.Random(seed)
    short = [
        example
        for example in examples
        if example.hard == 1 and len(example.conversation.work) <= _SHORT and example.domain.startswith("math")
    ]
    payloads = [example for example in examples if example.hard == 1 and len(example.conversation.work) >= 120]
    if not payloads:
        return []
    easy = []
    for number in range(len(short)):
        first = rng.choice(payloads)
        same = [other for other in rng.sample(payloads, min(60, len(payloads))) if other.source == first.source]
        text = first.conversation.work
        while len(text) < _LONG and same:
            text += "\n\n" + same.pop().conversation.work
        instruction = rng.choice(_UNSEEN_INSTRUCTIONS)
        whole = f"{instruction}\n\n{text}" if rng.random() < 0.6 else f"{text}\n\n{instruction}"
        easy.append(
            replace(
                first,
                id=f"long-easy-{number}",
                conversation=Conversation(ask=whole, chars=len(whole)),
                label=0,
                outcome_label=None,
                p_instruct=None,
                p_thinking=None,
            )
        )
    return [replace(example, label=1) for example in short] + easy


def _level(indices: Sequence[int], examples: Sequence[Example], rng: random.Random) -> list[int]:
    """The indices in random order, equally many of each source (the median source's number, where it has them)."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index in indices:
        groups[examples[index].source].append(index)
    sizes = sorted(map(len, groups.values()))
    level = sizes[(len(sizes) - 1) // 2] if sizes else 0
    chosen: list[int] = []
    for name in sorted(groups):
        members = groups[name]
        chosen += rng.sample(members, min(level, len(members)))
    rng.shuffle(chosen)
    return chosen
