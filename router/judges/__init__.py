"""Judges: text in, P(thinking helps) out. `load_judge` makes the one that a configuration names."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from router.judges.base import Feature, Judge, JudgeError, Judgement
from router.judges.constant import ConstantJudge
from router.judges.encoder import EncoderJudge
from router.judges.heuristic import HeuristicJudge
from router.judges.linear import LinearJudge
from router.judges.seeded import RandomJudge

__all__ = [
    "JUDGE_KINDS",
    "ConstantJudge",
    "EncoderJudge",
    "Feature",
    "HeuristicJudge",
    "Judge",
    "JudgeError",
    "Judgement",
    "LinearJudge",
    "RandomJudge",
    "load_judge",
]

JUDGE_KINDS: Final[Mapping[str, Callable[..., Judge]]] = {
    "linear": LinearJudge.load,
    "heuristic": HeuristicJudge,
    "constant": ConstantJudge,
    "random": RandomJudge,
    "encoder": EncoderJudge,
}


def load_judge(kind: str, **options: Any) -> Judge:
    """The judge called `kind`: linear (`path`), heuristic, constant (`score`), random (`seed`) or encoder (`path`).

    Raises `JudgeError` for an unknown kind, an option the kind does not know, or weights that cannot be read.
    """
    try:
        make = JUDGE_KINDS[kind]
    except KeyError:
        raise JudgeError(f"unknown judge {kind!r}; known are {', '.join(JUDGE_KINDS)}") from None
    try:
        return make(**options)
    except TypeError as error:
        raise JudgeError(f"judge {kind!r}: {error}") from None
