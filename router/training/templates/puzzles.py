"""Generated work of known difficulty, with easy asks on the same surface. Knows puzzles and tables; knows no data set.

`asks.tsv` holds a surface, `e` or `h`, and a row of asks. The hard ones need several dependent steps; the easy ones
show the same tables, lists, code and rules, but ask only to copy, format, look up or describe. So a grid or a list of
rules is no evidence by itself.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

_VOCABULARY: Final = """
Ana Bo Carl Dina Eli Fay Gus Hana Ivo Jun Kim Leo Mia Noor Omar Pia 小明 小红 老王 李雷 韩梅梅 张伟
wumpus zorp blick dax fep gorn kiki lorp mib nard plim quex rilt
apple lamp key book coin ring cup hat ball card stone leaf 苹果 钥匙 书 硬币 帽子
Oslo Lima Cairo Delhi Quito Perth Tunis Riga Osaka Accra 北京 上海 广州 成都 武汉
"""
_NAMES, _WORDS, _THINGS, _PLACES = (line.split() for line in _VOCABULARY.strip().splitlines())


def _table(rng: random.Random) -> str:
    rows = [
        f"| {name} | {rng.randint(1, 60)} | {rng.randint(100, 999)} | {rng.choice(_PLACES)} |"
        for name in rng.sample(_NAMES, 6)
    ]
    return "| name | units | price | city |\n|---|---|---|---|\n" + "\n".join(rows)


def _edges(rng: random.Random) -> str:
    nodes = rng.sample(_PLACES, 7)
    return "\n".join(
        f"{a} - {b}: {rng.randint(2, 90)}" for a, b in (rng.sample(nodes, 2) for _ in range(rng.randint(8, 14)))
    )


def _grid(rng: random.Random) -> str:
    symbols = rng.choice(("01", ".#", "XO_", "123456789", "🟥🟦⬜", "ABCD"))
    size = rng.randint(4, 9)
    join = rng.choice(("", " ", ","))
    return "\n".join(join.join(rng.choice(symbols) for _ in range(size)) for _ in range(size))


def _numbers(rng: random.Random) -> str:
    return ", ".join(str(rng.randint(-99, 999)) for _ in range(rng.randint(6, 18)))


def _clues(rng: random.Random) -> str:
    names = rng.sample(_NAMES, 5)
    forms = (
        "{a} sits directly left of {b}.",
        "{a} is older than {b} but younger than {c}.",
        "Either {a} or {b} owns the {t}.",
        "If {a} is in {p}, then {b} is not.",
        "{a} and {b} do not live next to each other.",
        "The person with the {t} is not {a}.",
        "{a}不在{b}的旁边。",
        "如果{a}去了{p}，那么{b}没有去。",
    )
    lines = []
    for number in range(rng.randint(4, 8)):
        a, b, c = rng.sample(names, 3)
        text = rng.choice(forms).format(a=a, b=b, c=c, t=rng.choice(_THINGS), p=rng.choice(_PLACES))
        lines.append(rng.choice((text, f"{number + 1}. {text}")))
    return "\n".join(lines)


def _swaps(rng: random.Random) -> str:
    names = rng.sample(_NAMES, 4)
    start = ", ".join(f"{name} has a {thing}" for name, thing in zip(names, rng.sample(_THINGS, 4), strict=True))
    swaps = " ".join("{} and {} swap.".format(*rng.sample(names, 2)) for _ in range(rng.randint(4, 9)))
    return f"{start}. {swaps}"


def _code(rng: random.Random) -> str:
    a, b, n = rng.randint(2, 9), rng.randint(2, 9), rng.randint(5, 30)
    lines = (
        "def f(n):",
        f"    x, y = {a}, {b}",
        "    for i in range(n):",
        f"        if (x * i + y) % {b} == 0:",
        "            x, y = y, x + i",
        "        else:",
        f"            y = (y * {a}) % 97",
        "    return x - y",
        "",
        f"print(f({n}))",
    )
    return "\n".join(lines)


def _facts(rng: random.Random) -> str:
    words = rng.sample(_WORDS, 6)
    lines = [f"Every {a} is a {b}." for a, b in pairwise(words)]
    lines += [f"No {rng.choice(words)} is {rng.choice(('red', 'cold', 'loud', 'shy'))}." for _ in range(2)]
    rng.shuffle(lines)
    return " ".join(lines) + f" {rng.choice(_NAMES)} is a {words[0]}."


def _cipher(rng: random.Random) -> str:
    return " ".join(
        "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(3, 8))) for _ in range(5)
    )


def _expression(rng: random.Random) -> str:
    parts = [str(rng.randint(2, 99))]
    for _ in range(rng.randint(4, 9)):
        parts.append(rng.choice("+-*") + " " + rng.choice(("{}", "({} - 7)", "-{}")).format(rng.randint(2, 99)))
    return " ".join(parts)


def _log(rng: random.Random) -> str:
    events = ("connection reset", "lock acquired", "retrying", "timeout after", "queue length")
    lines = []
    for _ in range(rng.randint(5, 12)):
        day = f"2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}"
        level = rng.choice(("INFO", "WARN", "ERROR"))
        lines.append(f"{day} {level} worker-{rng.randint(1, 9)} {rng.choice(events)} {rng.randint(1, 900)}")
    return "\n".join(lines)


_SURFACES: Final[Mapping[str, Callable[[random.Random], str]]] = {
    "table": _table,
    "edges": _edges,
    "grid": _grid,
    "numbers": _numbers,
    "clues": _clues,
    "swaps": _swaps,
    "code": _code,
    "facts": _facts,
    "cipher": _cipher,
    "expression": _expression,
    "log": _log,
}
_RULES: Final = (
    "You are given the following. Follow the rules below and give only the final answer.",
    "Your task is as follows.",
    "Here is the input.",
    "请看下面的内容。",
    "",
    "",
)


def _asks() -> list[list[tuple[str, tuple[str, ...]]]]:
    """[easy, hard]: (surface, its asks)."""
    found: list[list[tuple[str, tuple[str, ...]]]] = [[], []]
    for line in Path(__file__).with_name("asks.tsv").read_text("utf-8").splitlines():
        surface, kind, *asks = line.split("\t")
        found[kind == "h"].append((surface, tuple(asks)))
    return found


def puzzles(count: int, seed: int = 2) -> Iterator[tuple[str, bool]]:
    """`count` pairs of (prompt, hard), half hard, each with the ask before or after the material."""
    rng = random.Random(seed)
    both = _asks()
    for number in range(count):
        hard = number % 2 == 0
        surface, asks = rng.choice(both[hard])
        body, ask, opening = _SURFACES[surface](rng), rng.choice(asks), rng.choice(_RULES)
        parts = [opening, body, ask] if rng.random() < 0.6 else [opening, ask, body]
        yield rng.choice(("\n", "\n\n")).join(filter(None, parts)), hard
