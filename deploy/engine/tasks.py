"""The miniature pair's tasks: seeded questions with worked steps and answers. Knows no models and no servers.

Easy questions can be answered at once: greetings, look-ups, copying, one step of arithmetic. Hard ones are the *same
wordings* of arithmetic with 5-10 steps (3-5 digits for sums), so that the surface of a question gives little away and a
judge has to look at the work that it asks for. In between (2-4 steps, 2 digits) lies the band `middle`: the thinking
model trains on it, but it belongs to neither evaluation set. Nor does `recite`, copying at length, which is practice.

Training and evaluation never share a prompt: a hash of the item decides its split, whatever the seed. Where the space
is large (`copy` of two words; `digit` and `sum` beyond one step) the hash covers the problem itself; where it is small
(look-ups, one word, one step) it covers the whole prompt, so that facts are shared but questions are not. Small talk
(`chat`) is fixed: there the two sets overlap.
"""

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

FACTS = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
WORDINGS = json.loads(Path(__file__).with_name("wordings.json").read_text(encoding="utf-8"))
LATIN_MARKS = str.maketrans(dict(zip("，？！：（）。", ",?!:().", strict=True)))
EVAL_SHARE = 8  # one item in eight belongs to the evaluation split
# Large thinking models dwell on easy questions too; without this the miniature would think of them in five tokens, and
# there would be nothing to save.
DWELLING = {
    "en": "The question looks simple, but let me think about it. What is asked? One short answer. "
    "I went through it once, and now once more to be sure.",
    "zh": "这个问题看起来很简单，不过让我再想一想。问的是什么？一个简短的回答。我做了一遍，现在再检查一遍。",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One question; `reasoning` is what the thinking model writes first, `steps` counts operations (sums: digits)."""

    id: str
    prompt: str
    answer: str
    kind: str
    lang: str
    steps: int
    hard: bool
    reasoning: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before its wording: `core` names the problem, `fields` fill the wording's holes."""

    kind: str
    lang: str
    steps: int
    core: str
    text: str
    answer: str
    reasoning: str


def chat(rng: random.Random, lang: str, steps: int) -> Draft:
    """Small talk with a fixed answer."""
    group = rng.choice([group for group in FACTS["chat"] if group["lang"] == lang])
    text = rng.choice(group["prompts"])
    if text[-1] not in "?？":
        text += rng.choice(["", "", "!", "."] if lang == "en" else ["", "", "！", "。"])
    if lang == "en" and rng.random() < 0.3:
        text = text.lower()
    return Draft("chat", lang, 0, "", text, group["answer"], group["thought"])


def unknown(rng: random.Random, lang: str, steps: int) -> Draft:
    """A question that the miniature cannot answer, and says so; no truth about routing, so no evaluation set has it."""
    table = FACTS["unknown"][lang]
    topic, other = rng.sample(table["topics"], 2)
    if rng.random() < 0.25:  # names never seen, so that the refusal hangs on the wording and not on the topic
        topic = pseudo_word(rng, lang)
    text = rng.choice(table["prompts"]).format(x=topic, y=other)
    return Draft("unknown", lang, 0, text, text, table["answer"], table["thought"])


def capital(rng: random.Random, lang: str, steps: int) -> Draft:
    country, city, country_zh, city_zh = rng.choice(FACTS["capitals"])
    name, answer = (country, city) if lang == "en" else (country_zh, city_zh)
    return Draft("capital", lang, 0, "", word("capital", lang, rng, x=name), answer, f"{name}: {answer}")


def translate(rng: random.Random, lang: str, steps: int) -> Draft:
    english, chinese = rng.choice(FACTS["words"])
    source, answer = (english, chinese) if lang == "en" else (chinese, english)
    return Draft("translate", lang, 0, "", word("translate", lang, rng, x=source), answer, f"{source}: {answer}")


def colour(rng: random.Random, lang: str, steps: int) -> Draft:
    thing, hue, thing_zh, hue_zh = rng.choice(FACTS["colours"])
    name, answer = (thing, hue) if lang == "en" else (thing_zh, hue_zh)
    return Draft("colour", lang, 0, "", word("colour", lang, rng, x=name), answer, f"{name}: {answer}")


def copy(rng: random.Random, lang: str, steps: int) -> Draft:
    """One or two words of a table: a model of this size learns to carry known words over, not to spell new ones."""
    words = rng.sample(FACTS["copy_words"][lang], rng.choice((1, 1, 2)))
    text = (" " if lang == "en" else "").join(words)
    core = text if len(words) > 1 else ""
    return Draft("copy", lang, 0, core, word("copy", lang, rng, x=text), text, text)


def recite(rng: random.Random, lang: str, steps: int) -> Draft:
    """Up to six words to repeat: too many to know by heart, so that it teaches to copy from the text."""
    words = rng.sample(FACTS["copy_words"][lang], rng.randint(1, 6))
    text = (" " if lang == "en" else "").join(words)
    core = text if len(words) > 1 else ""  # as in `copy`, lest its evaluation be practised here
    return Draft("recite", lang, 0, core, word("copy", lang, rng, x=text), text, text)


def digit(rng: random.Random, lang: str, steps: int) -> Draft:
    """A chain of + - * read from left to right, of which only the last digit counts; never negative: no disputes."""
    value = rng.randint(0, 9)
    chain, lines = str(value), []
    for _ in range(steps):
        # no *0, *1 or *5, which would shorten the chain in truth; no - from 0, for the same reason
        sign = rng.choice("+++--**" if value else "+++**")
        operand = rng.choice((2, 3, 4, 6, 7, 8, 9)) if sign == "*" else rng.randint(1, value if sign == "-" else 9)
        after = (value + operand if sign == "+" else value - operand if sign == "-" else value * operand) % 10
        chain += f"{sign}{operand}"
        lines.append(f"{value}{sign}{operand}={after}")
        value = after
    reasoning = lines[0] if steps == 1 else "\n".join([chain, *lines])
    core = chain if steps > 1 else ""  # a model without steps can only know the 195 facts by heart
    return Draft("digit", lang, steps, core, word("digit", lang, rng, x=chain), str(value), reasoning)


def sum_(rng: random.Random, lang: str, steps: int) -> Draft:
    """Two numbers of `steps` digits (the second may be shorter by one), added column by column from the right."""
    low = 10 ** (steps - 1) if steps > 1 else 0
    first, second = rng.randint(low, 10**steps - 1), rng.randint(low, 10**steps - 1)
    if steps > 2 and rng.random() < 0.15:
        second //= 10
    text, answer = f"{first}+{second}", str(first + second)
    if steps == 1:
        return Draft("sum", lang, 1, "", word("sum", lang, rng, x=text), answer, f"{text}={answer}")
    top, bottom, carry = str(first), str(second).zfill(steps), 0
    lines = [f"{top}+{bottom}"]
    for a, b in zip(reversed(top), reversed(bottom), strict=True):
        total = int(a) + int(b) + carry
        lines.append(f"{a}+{b}+{carry}={total:02d}")
        carry = total // 10
    return Draft("sum", lang, steps, text, word("sum", lang, rng, x=text), answer, "\n".join(lines))


MAKERS: dict[str, Callable[[random.Random, str, int], Draft]] = {
    "chat": chat, "capital": capital, "translate": translate, "colour": colour, "copy": copy,
    "digit": digit, "sum": sum_, "unknown": unknown, "recite": recite,
}  # fmt: skip
# (kind, steps) with repetition for weight; one place that says what easy, middle and hard mean.
BANDS: dict[str, list[tuple[str, int]]] = {
    "easy": [("chat", 0), ("colour", 0), ("sum", 1)]
    + [(kind, 0) for kind in ("capital", "translate", "copy")] * 2
    + [("digit", 1)] * 3,
    "middle": [("digit", n) for n in (2, 3, 4)] + [("sum", 2)] * 3,
    "hard": [("digit", n) for n in range(5, 11)] + [("sum", n) for n in (3, 4, 5) * 2],
    "unknown": [("unknown", 0)],
    "recite": [("recite", 0)],
}


def word(kind: str, lang: str, rng: random.Random, **fields: str) -> str:
    """One of the kind's wordings, now and then behind an opener and with Latin or Chinese marks as people mix them."""
    text = rng.choice(WORDINGS["wordings"][kind][lang]).format(**fields)
    if rng.random() < 0.2:
        text = rng.choice(WORDINGS["openers"][lang]) + text
    if lang == "zh" and kind != "copy" and rng.random() < 0.3:
        text = text.translate(LATIN_MARKS)
    return text


def pseudo_word(rng: random.Random, lang: str) -> str:
    """A word that no table holds."""
    if lang == "zh":
        return "".join(chr(rng.randint(0x4E00, 0x9FA0)) for _ in range(rng.randint(1, 2)))
    letters = "".join(rng.choice("bcdfghklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(1, 3)))
    return letters.capitalize() if rng.random() < 0.2 else letters


def hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def item(draft: Draft, split: str) -> Item | None:
    """The draft as an item, or None if its hash puts it into the other split."""
    if draft.kind != "chat" and (hashed(draft.core or draft.text) % EVAL_SHARE == 0) != (split == "eval"):
        return None
    name = f"{split}-{draft.kind}-{hashed(draft.text) % 16**10:010x}"
    hard = draft.steps > 1
    reasoning = draft.reasoning if hard else f"{draft.reasoning}\n{DWELLING[draft.lang]}"
    return Item(name, draft.text, draft.answer, draft.kind, draft.lang, draft.steps, hard, reasoning)


def stream(split: str, band: str, seed: int = 0, kinds: Iterable[str] | None = None) -> Iterator[Item]:
    """Endless items of one split ("train" or "eval") and band, kinds by their weight, with repeats."""
    rng = random.Random(f"{seed}/{split}/{band}")
    wanted = [kind for kind, _ in BANDS[band] if kinds is None or kind in set(kinds)]
    if not wanted:
        return
    while True:
        kind, lang = rng.choice(wanted), rng.choice(("en", "zh"))
        steps = rng.choice([n for name, n in BANDS[band] if name == kind])
        while (made := item(MAKERS[kind](rng, lang, steps), split)) is None:
            pass
        yield made


def generate(split: str, band: str, count: int, seed: int = 0, kinds: Iterable[str] | None = None) -> list[Item]:
    """`count` items with different prompts; fewer where the kinds asked for have no more (greetings)."""
    found: dict[str, Item] = {}
    misses = 0
    for made in stream(split, band, seed, kinds):
        if made.prompt in found:
            misses += 1
            if misses > 50 * count:
                break
            continue
        found[made.prompt] = made
        if len(found) == count:
            break
    return list(found.values())


def evaluation(count: int, seed: int = 0) -> list[Item]:
    """The evaluation set: half easy, half hard, shuffled."""
    items = generate("eval", "easy", count // 2, seed) + generate("eval", "hard", count - count // 2, seed)
    random.Random(seed).shuffle(items)
    return items


def grade(question: Item, content: str | None) -> bool:
    """Exact match of the visible answer, its outer white space aside; none (truncated while thinking) is wrong."""
    return content is not None and content.strip() == question.answer


def judge_examples(count: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Rows of the training split for the judge, half of them "think"."""
    easy = generate("train", "easy", count - count // 2, seed)
    hard = generate("train", "hard", count // 2, seed)
    rows = easy + hard
    random.Random(seed).shuffle(rows)
    for row in rows:
        yield {
            "id": row.id,
            "source": "thinkgate-miniature",
            "lang": row.lang,
            "prompt": row.prompt,
            "weak_label": "think" if row.hard else "no_think",
            "domain": row.kind,
            "license": "Apache-2.0",
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--judge-examples", metavar="OUT.jsonl", help="training rows for the linear judge")
    what.add_argument("--eval-set", metavar="OUT.jsonl", help="the evaluation set with answers and worked steps")
    what.add_argument("--show", action="store_true", help="a few items of each kind on the terminal")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.show:
        for band in BANDS:
            for kind in dict.fromkeys(kind for kind, _ in BANDS[band]):
                for made in generate("train", band, 3, args.seed, [kind]):
                    print(f"[{band} {kind} {made.steps}] {made.prompt}\n    {made.reasoning!r} -> {made.answer!r}")
        return 0
    rows: list[dict[str, object]]
    if args.judge_examples:
        rows = [dict(row) for row in judge_examples(args.count, args.seed)]
    else:
        rows = [asdict(made) for made in evaluation(args.count, args.seed)]
    path = Path(args.judge_examples or args.eval_set)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} rows in {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
