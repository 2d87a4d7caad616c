"""A language model compares two answers, twice with their places swapped. Knows the question and how to read the word.

Models prefer the first place, or the second: only what they say in both orders counts, all else is a tie.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.learning.backends import Backends

_QUESTION: Final = """Compare two answers to the request below. Correctness comes first, then help given; length is no \
merit. End with one line: `VERDICT: A`, `VERDICT: B`, or `VERDICT: TIE`.

<request>
{request}
</request>

<answer_a>
{first}
</answer_a>

<answer_b>
{second}
</answer_b>"""
_WORD: Final = re.compile(r"VERDICT\W+(A|B|TIE)\b", re.IGNORECASE)
_LAST: Final = re.compile(r"\b(A|B|TIE)\b\W*\Z", re.IGNORECASE)


async def compare(
    backends: Backends, model: str, messages: Sequence[Mapping[str, Any]], instruct: str, thinking: str
) -> tuple[float, float]:
    """(instruct's, thinking's) points: 1 and 0 for a winner in both orders, a half each for all else."""
    request = "\n\n".join(f"{one.get('role', 'user')}: {_text(one.get('content'))}" for one in messages)
    first = read_verdict(await backends.verdict(model, asked(request, instruct, thinking)))
    second = read_verdict(await backends.verdict(model, asked(request, thinking, instruct)))
    if (first, second) == ("A", "B"):
        return 1.0, 0.0
    if (first, second) == ("B", "A"):
        return 0.0, 1.0
    return 0.5, 0.5


def asked(request: str, first: str, second: str) -> list[dict[str, str]]:
    """The messages of the question."""
    return [{"role": "user", "content": _QUESTION.format(request=request, first=first, second=second)}]


def read_verdict(text: str) -> str:
    """A, B or TIE; what cannot be read is a tie."""
    found = _WORD.findall(text) or _LAST.findall(text.strip())
    return str(found[-1]).upper() if found else "TIE"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")
