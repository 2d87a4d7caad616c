"""Make hard negatives out of examples: long easy prompts full of formulas, and disguises. Knows no features."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from router.conversation import ASK_HEAD_CHARS, ASK_TAIL_CHARS, Conversation, head_and_tail
from router.training.examples import Example
from router.training.holdout import fold_of
from router.training.templates.generate import EASY_TARGET, filled, orders, templates

SOURCE: Final = "thinkgate-composed"
LICENSE: Final = "Apache-2.0; the texts as their sources"
COMPOSED_DOMAIN: Final = "composed/"
ORDERS: Final = "thinkgate-orders"

_INSTRUCTIONS: Final = ("translate", "summary", "extract", "classify", "rewrite", "rag")
EASY_ORDERS: Final = 0.6
"""Share of orders that make a text easy; the others ask for its solution."""

_OPTIONS: Final = re.compile(r"\n\(?[A-J][.):] [^\n]*")
_STEPS: Final = re.compile(
    r"(?:let's |please )?(?:think|reason|solve (?:it|this)) step[- ]by[- ]step\.?"
    r"|answer with (?:only )?the letter[^.\n]*\.?",
    re.IGNORECASE,
)
_PREFACES: Final = (
    "Hi! I hope you are doing well.",
    "I've been looking at this all afternoon and my tea has gone cold.",
    "My teacher gave us this for the weekend.",
    "This came up at work today.",
    "Sorry for the long message.",
    "你好，打扰一下。",
    "这个问题我想了很久，麻烦帮忙看看。",
)
_STEP_PHRASES: Final = ("Think step by step.", "Let's think step by step.", "Take your time.", "Explain briefly.", "")


def long_easy(examples: Sequence[Example], count: int, seed: int = 0) -> list[Example]:
    """An easy instruction (translate, summarise, extract, …) about the text of another example, hard as that may be."""
    rng = random.Random(seed)
    instructions = [
        (lang, prompt)
        for lang, domain, prompt, hard in templates()
        if not hard and domain.partition("/")[0] in _INSTRUCTIONS
    ]
    made = []
    for number in range(count):
        payload = rng.choice(examples)
        lang, prompt = rng.choice(instructions)
        instruction = filled(prompt, rng)
        text = payload.conversation.work
        if rng.random() < 0.3:
            text = f"{text}\n\n{rng.choice(examples).conversation.work}"
        mark = rng.choice(("", "", '"""', "```", "---"))
        body = f"{mark}\n{text}\n{mark}" if mark else text
        whole = f"{instruction}\n\n{body}" if rng.random() < 0.65 else f"{body}\n\n{instruction}"
        made.append(_variant(payload, f"easy-{number}", whole, lang, EASY_TARGET, 0.6))
    return made


def ordered(examples: Sequence[Example], count: int, seed: int = 2) -> list[Example]:
    """Another example's text below, above or inside an order of another language or its own.

    Under an easy order (translate, sum up, proofread, copy, …) it is easy whatever it asks; under an order to solve or
    check it, it stays what it was. So the order decides, not the text's words.
    """
    rng = random.Random(seed)
    by_kind: dict[str, list[tuple[str, str]]] = {"e": [], "h": []}
    for lang, kind, order in orders():
        by_kind[kind].append((lang, order))
    made = []
    for number in range(count):
        payload = rng.choice(examples)
        easy = rng.random() < EASY_ORDERS
        found = by_kind["e" if easy else "h"]
        own = [order for lang, order in found if lang == payload.lang]
        lang, order = (payload.lang, rng.choice(own)) if own and rng.random() < 0.6 else rng.choice(found)
        text = payload.conversation.work
        if len(text) > 500 and rng.random() < 0.5:
            text = text[: rng.randint(80, 500)]
        mark = rng.choice(("", "", "", '"', "\u201c", "```", "---"))
        if mark in ('"', "\u201c"):
            text = f"{mark}{text}{mark.replace(chr(0x201C), chr(0x201D))}"
        elif mark:
            text = f"{mark}\n{text}\n{mark}"
        join = rng.choice((" ", "\n", "\n\n"))
        whole = f"{order}{join}{text}" if rng.random() < 0.7 else f"{text}{join}{order.rstrip(':：')}"
        target = EASY_TARGET if easy else payload.goal
        weight = 0.6 if easy else 0.6 * payload.weight
        made.append(_variant(payload, f"{number}", whole, lang, target, weight, ORDERS))
    return made


def disguised(examples: Sequence[Example], count: int, seed: int = 1) -> list[Example]:
    """The same question without its options, with them renamed, behind a preface, or with a "step by step" phrase.

    The target stays, so that format, politeness and such phrases lose their weight.
    """
    rng = random.Random(seed)
    made = []
    for number in range(count):
        example = rng.choice(examples)
        text = _STEPS.sub("", example.conversation.work)
        has_options = len(_OPTIONS.findall(text)) > 1
        if has_options:
            if rng.random() < 0.6:
                text = _OPTIONS.sub("", text)
            else:
                style = rng.choice(("({}) ", "{}) ", "- {}: "))
                text = re.sub(r"\n\(?([A-J])[.):] ", _restyled(style), text)
        if not has_options or rng.random() < 0.3:
            text = f"{rng.choice(_PREFACES)} {text}" if rng.random() < 0.5 else f"{text}\n{rng.choice(_STEP_PHRASES)}"
        made.append(_variant(example, f"disguised-{number}", text, example.lang, example.goal, 0.5 * example.weight))
    return made


def _restyled(style: str) -> Callable[[re.Match[str]], str]:
    return lambda match: "\n" + style.format(match[1])


def _variant(
    origin: Example, name: str, text: str, lang: str, target: float, weight: float, source: str = SOURCE
) -> Example:
    """A generated example that leaves with the source of its text when that is left out."""
    text = head_and_tail(text.strip(), ASK_HEAD_CHARS, ASK_TAIL_CHARS)
    return replace(
        origin,
        id=f"{source}-{name}",
        source=source,
        lang=lang,
        domain=f"{COMPOSED_DOMAIN}{origin.domain}",  # an easy order about a puzzle is none: `goal` must not raise it
        conversation=Conversation(ask=text, chars=len(text)),
        target=target,
        weight=weight,
        label=None,
        outcome_label=None,
        p_instruct=None,
        p_thinking=None,
        license=LICENSE,
        facts={"fold": fold_of(origin)},
    )
