"""Puts task items into conversations as clients send them: system prompts, earlier turns, a block closed early.

Knows what each of the two models should learn, and nothing about tensors.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import tasks

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "Answer the question.",
    "Be concise.",
    "You are ThinkGate, a friendly assistant.",
    "Think step by step before you answer.",
    "Reply with the answer only.",
    "你是一个乐于助人的助手。",
    "请简短回答。",
    "只给出答案。",
    "请一步一步思考。",
)
# How often a model sees each band. An instruct model that trains on impossible items learns nothing, so its few items
# from the other bands only teach it to guess in the right form.
MIXTURES = {
    "instruct": {"easy": 0.94, "unknown": 0.04, "middle": 0.01, "hard": 0.01},
    "thinking": {"easy": 0.52, "unknown": 0.02, "middle": 0.12, "hard": 0.34},
}
OPENINGS = {"instruct": "", "thinking": "<think>\n"}
CLOSING = "\n</think>\n\n"


# Sentences for long system prompts, which gateways meet more often than short ones.
BACKGROUND = (
    "You work for a shop called {x}.",
    "The name of the user is {x}.",
    "Today is a {x} day.",
    "Be polite and answer in the language of the user.",
    "Never mention {x} or {y}.",
    "If you do not know an answer, say so.",
    "Our office is in {x}, open from 9 to 17.",
    "Rule {n}: always be careful with {x}.",
    "You can use markdown.",
    "你为{x}公司工作。",
    "用户的名字是{x}。",
    "请用用户的语言回答。",
    "规则{n}：不要提到{x}。",
)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation, what the answer holds already, and what the model should add."""

    messages: list[dict]
    given: str
    target: str


def dialogues(model: str, seed: int) -> Iterator[Dialogue]:
    """Endless training conversations for "instruct" or "thinking"."""
    rng = random.Random(f"{model}/{seed}")
    streams = {band: tasks.stream("train", band, seed) for band in tasks.BANDS}
    bands, weights = zip(*MIXTURES[model].items(), strict=True)
    while True:
        asked = next(streams[rng.choices(bands, weights)[0]])
        messages, reasoning, answer = [user(asked.prompt, rng)], asked.reasoning, asked.answer
        if rng.random() < 0.06:
            for _ in range(rng.randint(1, 2)):
                earlier = next(streams[rng.choices(bands, weights)[0]])
                messages = [user(earlier.prompt, rng), {"role": "assistant", "content": earlier.answer}, *messages]
        if rng.random() < 0.2:
            messages = [{"role": "system", "content": system_prompt(rng)}, *messages]
        given, target = "", answer
        if model == "thinking":
            given, target = budgeted(reasoning, answer, rng)
        yield Dialogue(messages, given, target)


def user(prompt: str, rng: random.Random) -> dict:
    """A user's turn; a soft switch that reaches a model unasked should change nothing."""
    if rng.random() < 0.02:
        prompt += rng.choice((" /think", " /no_think", "\n/no_think", "\n"))
    return {"role": "user", "content": prompt}


def system_prompt(rng: random.Random) -> str:
    if rng.random() < 0.95:
        return rng.choice(SYSTEM_PROMPTS)
    sentences = []
    for _ in range(rng.randint(4, 16)):
        x, y = tasks.pseudo_word(rng, "en"), tasks.pseudo_word(rng, "en")
        sentences.append(rng.choice(BACKGROUND).format(x=x.capitalize(), y=y, n=rng.randint(1, 20)))
    return rng.choice((" ", "\n")).join(sentences)


def budgeted(reasoning: str, answer: str, rng: random.Random) -> tuple[str, str]:
    """Mostly the whole work; now and then a block that a thinking budget closed, to be answered as well as it goes."""
    if rng.random() >= 0.05:
        return "", reasoning + CLOSING + answer
    lines = reasoning.split("\n")
    if rng.random() < 0.5:
        return "\n".join(lines[: rng.choice((0, rng.randrange(len(lines))))]) + CLOSING, answer
    # vLLM closes the block wherever the budget ends, in the middle of a line too
    return reasoning[: rng.randrange(len(reasoning))] + rng.choice(("", "\n")) + "</think>", "\n\n" + answer
