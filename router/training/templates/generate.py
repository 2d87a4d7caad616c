"""Fill the prompt templates. Knows the template files and their slots; knows no data set.

`easy.tsv` and `hard.tsv` hold `language, domain, prompt`; `languages.tsv` holds a language, `e` or `h`, and a row of
prompts. Slots: `{n}` a digit, `{N}` a number of two or three digits, `{p}` a small prime.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from router.conversation import Conversation
from router.training.examples import Example
from router.training.templates.puzzles import puzzles

SOURCE: Final = "thinkgate-templates"
LICENSE: Final = "Apache-2.0"
EASY_TARGET: Final = 0.05
HARD_TARGET: Final = 0.93

_DIRECTORY: Final = Path(__file__).parent
_PRIMES: Final = ("2", "3", "5", "7", "11", "13", "17", "23")
_OPENINGS: Final = {
    "en": ("", "", "Please: ", "hey, ", "Hi there! ", "Quick question: ", "Could you help me? ", "I have a question. "),
    "zh": ("", "", "请", "你好，", "麻烦您，", "请问，", "帮个忙：", "想请教一下，"),
}


def templates() -> Iterator[tuple[str, str, str, bool]]:
    """(language, domain, prompt with slots, hard) of every template."""
    for name, hard in (("easy.tsv", False), ("hard.tsv", True)):
        for line in (_DIRECTORY / name).read_text("utf-8").splitlines():
            lang, domain, prompt = line.split("\t")
            yield lang, domain, prompt, hard
    for line in (_DIRECTORY / "languages.tsv").read_text("utf-8").splitlines():
        lang, kind, *prompts = line.split("\t")
        for prompt in prompts:
            yield lang, "hard" if kind == "h" else "easy", prompt, kind == "h"


def orders() -> Iterator[tuple[str, str, str]]:
    """(language, `e` or `h`, order) of every order about a text: easy ones, and ones to solve or check it."""
    for line in (_DIRECTORY / "orders.tsv").read_text("utf-8").splitlines():
        lang, kind, *found = line.split("\t")
        for order in found:
            yield lang, kind, order.strip()


def filled(prompt: str, rng: random.Random) -> str:
    """`prompt` with each slot drawn anew."""
    while "{n}" in prompt:
        prompt = prompt.replace("{n}", str(rng.randint(2, 9)), 1)
    while "{N}" in prompt:
        prompt = prompt.replace("{N}", str(rng.randint(10, 10 ** rng.randint(2, 3) - 1)), 1)
    return prompt.replace("{p}", rng.choice(_PRIMES))


def paragraph_examples(each: int = 10, seed: int = 1) -> list[Example]:
    """For each language, long easy texts and hard asks behind easy talk: function words and length say nothing."""
    rng = random.Random(seed)
    by_language: dict[str, tuple[list[str], list[str]]] = {}
    for lang, _, prompt, hard in templates():
        by_language.setdefault(lang, ([], []))[hard].append(prompt)
    examples = []
    for lang, (easy, difficult) in sorted(by_language.items()):
        for number in range(each if lang not in _OPENINGS else 4 * each):
            talk = [filled(rng.choice(easy), rng) for _ in range(rng.randint(3, 14))]
            join = rng.choice((" ", "\n", "\n\n"))
            examples.append(_example(f"talk-{lang}-{number}", lang, "talk", join.join(talk), False))
            ask = [*talk[: rng.randint(1, 3)], filled(rng.choice(difficult), rng)]
            examples.append(_example(f"ask-{lang}-{number}", lang, "ask", join.join(ask), True))
    return examples


def puzzle_examples(count: int = 1600) -> list[Example]:
    """Generated puzzles, and easy asks about the same material."""
    return [
        _example(f"puzzle-{number}", "en", "puzzle", text, hard) for number, (text, hard) in enumerate(puzzles(count))
    ]


def template_examples(variants: int = 3, seed: int = 0) -> list[Example]:
    """Each template filled `variants` times, some behind a polite opening, some without punctuation or capitals."""
    rng = random.Random(seed)
    examples = []
    for number, (lang, domain, prompt, hard) in enumerate(templates()):
        for variant in range(variants):
            text = filled(prompt, rng)
            if variant:
                text = rng.choice(_OPENINGS.get(lang, ("",))) + text
            if rng.random() < 0.2:
                text = text.lower().rstrip("?.!？。！")
            tools = rng.choice((0, 0, 0, 4, 12))
            turns = rng.choice((1, 1, 1, 3))
            examples.append(_example(f"{number}-{variant}", lang, domain, text, hard, tools, turns))
    return examples


def _example(name: str, lang: str, domain: str, text: str, hard: bool, tools: int = 0, turns: int = 1) -> Example:
    return Example(
        id=f"{SOURCE}-{name}",
        source=SOURCE,
        lang=lang,
        domain=f"template/{domain}",
        conversation=Conversation(ask=text, tools=tools, turns=turns, chars=len(text)),
        target=HARD_TARGET if hard else EASY_TARGET,
        weight=1.0,
        label=None,
        license=LICENSE,
    )
