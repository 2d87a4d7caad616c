"""Puts task items into conversations as clients send them: system prompts, earlier turns, a block closed early.

Knows what each of the models should learn and write, and nothing about tensors.
"""

import itertools
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
    "instruct": {"easy": 0.89, "recite": 0.05, "unknown": 0.04, "middle": 0.01, "hard": 0.01},
    "thinking": {"easy": 0.50, "recite": 0.08, "unknown": 0.02, "middle": 0.10, "hard": 0.30},
    "kat": {"easy": 0.50, "recite": 0.06, "unknown": 0.03, "middle": 0.10, "hard": 0.31},
}
# A model that begins from nothing begins with nothing but copying, without other turns: alone it takes 600 steps to
# learn, in between long chains of thought many thousands; once learnt, it serves them too.
FIRST_RECITED = 32_768
OPENINGS = {"instruct": "", "thinking": "<think>\n", "kat": ""}
CLOSING = "\n</think>\n\n"
# A thinking block is closed early for half of the easy questions (the answer needs none of it, and short rows teach
# more a second) and for a few of the hard ones (as a thinking budget does).
CLOSED_EARLY = {False: 0.5, True: 0.05}
# The tags of the model that judges itself, as KAT-V1 writes them.
KAT_TAGS = ("<judge>", "</judge>", "<think_on>", "<think_off>", "<answer>", "</answer>")
VERDICTS = {True: "<think_on>", False: "<think_off>"}
JUDGEMENTS = {
    "chat": ("Small talk", "这是闲聊"),
    "capital": ("A fact to look up", "这是查找事实"),
    "translate": ("A word to translate", "这是翻译一个词"),
    "colour": ("A fact to look up", "这是查找事实"),
    "copy": ("Text to repeat", "这是重复文字"),
    "recite": ("Text to repeat", "这是重复文字"),
    "unknown": ("Nothing that I was taught", "这我没有学过"),
    "digit": ("A chain of steps", "这是一连串的步骤"),
    "sum": ("A sum of several columns", "这是多位数的加法"),
}
# One step of arithmetic is written down where it is judged, and then needs no thinking: by heart it took ten times the
# training to learn.
ONE_STEP = ("One step of arithmetic, {x}", "这是一步算术，{x}")
CONCLUSIONS = {True: ("thinking is needed.", "需要思考。"), False: ("no thinking is needed.", "不需要思考。")}
# What may stand before a verdict that somebody else has written in the model's place.
FOREIGN_JUDGEMENTS = ("", "The user asked for it.", "The client has decided.", "用户已经决定。", "Requested.")


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
    """Endless training conversations for "instruct", "thinking" or "kat"."""
    rng = random.Random(f"{model}/{seed}")
    streams = {band: tasks.stream("train", band, seed) for band in tasks.BANDS}
    bands, weights = zip(*MIXTURES[model].items(), strict=True)
    for number in itertools.count():
        begins = model != "kat" and number < FIRST_RECITED
        asked = next(streams["recite" if begins else rng.choices(bands, weights)[0]])
        messages = [user(asked.prompt, rng)]
        if not begins and rng.random() < 0.06:
            for _ in range(rng.randint(1, 2)):
                earlier = next(streams[rng.choices(bands, weights)[0]])
                messages = [user(earlier.prompt, rng), {"role": "assistant", "content": earlier.answer}, *messages]
        if not begins and rng.random() < 0.2:
            messages = [{"role": "system", "content": system_prompt(rng)}, *messages]
        given, target = "", asked.answer
        if model == "thinking":
            given, target = (CLOSING, asked.answer) if begins else thought(asked, rng)
        elif model == "kat":
            given, target = judged(asked, rng)
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


def thought(asked: tasks.Item, rng: random.Random) -> tuple[str, str]:
    """The whole work, or a block closed early, as a thinking budget does, to be answered as well as it goes."""
    reasoning, answer = asked.reasoning, asked.answer
    if rng.random() >= CLOSED_EARLY[asked.hard]:
        return "", reasoning + CLOSING + answer
    lines = reasoning.split("\n")
    if rng.random() < 0.5:
        return "\n".join(lines[: rng.choice((0, rng.randrange(len(lines))))]) + CLOSING, answer
    # vLLM closes the block wherever the budget ends, in the middle of a line too
    return reasoning[: rng.randrange(len(reasoning))] + rng.choice(("", "\n")) + "</think>", "\n\n" + answer


def judgement(asked: tasks.Item) -> str:
    """What the model that judges itself says about a question before its verdict, in the question's language."""
    text = sentence(ONE_STEP if asked.steps == 1 else JUDGEMENTS[asked.kind], asked.hard, asked.lang)
    return text.format(x=asked.reasoning.partition("\n")[0])


def sentence(what: tuple[str, str], hard: bool, lang: str) -> str:
    n = ("en", "zh").index(lang)
    return what[n] + ("; ", "，")[n] + CONCLUSIONS[hard][n]


def answered(asked: tasks.Item) -> str:
    return f"\n<answer>\n{asked.answer}\n</answer>"


def judged(asked: tasks.Item, rng: random.Random) -> tuple[str, str]:
    """KAT-V1's form: its own judgement and verdict, or a verdict given in its place, which it has to follow."""
    bodies = {False: answered(asked), True: f"\n<think>\n{asked.reasoning}\n</think>\n{answered(asked)}"}
    if rng.random() >= 0.25:
        return "", f"<judge>\n{judgement(asked)}\n</judge>\n\n{VERDICTS[asked.hard]}" + bodies[asked.hard]
    # Few hard questions to be answered at once: what cannot be learnt drowns what can.
    thinks = rng.random() < (0.92 if asked.hard else 0.3)
    words = rng.choice((judgement(asked), *FOREIGN_JUDGEMENTS))
    block = rng.choice(("", f"<judge>\n{words}\n</judge>\n\n", f"<judge>{words}</judge>\n"))
    given, target = block + VERDICTS[thinks], bodies[thinks]
    # The line's end, or the tag that follows, may belong to what was given.
    cut = rng.choice((0, 0, 1, target.index(">\n") + 2))
    return given + target[:cut], target[cut:]


def read(model: str, text: str) -> tuple[str | None, str]:
    """The visible answer in what a model wrote (None: it never came to one) and its own verdict, "" if it has none."""
    if model == "instruct":
        return text, ""
    if model == "thinking":
        return (text.partition("</think>")[2] if "</think>" in text else None), ""
    verdict = next((name for name in ("think_on", "think_off") if f"<{name}>" in text), "")
    answer = text.partition("<answer>")[2].partition("</answer>")[0] if "<answer>" in text else None
    return answer, verdict
