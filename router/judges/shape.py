"""The shape of a conversation as a short vector: lengths, shares of character classes, marks, circumstances.

Knows what a text looks like; knows no words and no weights.
"""

from collections.abc import Sequence
from math import log1p, sqrt
from typing import Final

import numpy as np

from router.conversation import Conversation
from router.judges.characters import CLASS_OF, CLASSES, Codes

NAMES: Final = (
    "length of the ask",
    "very short ask",
    "short ask",
    "ask of middling length",
    "long ask",
    "very long ask",
    "share of digits",
    "share of maths symbols",
    "share of LaTeX or code marks",
    "share of brackets",
    "share of punctuation",
    "share of unspaced script",
    "share of emoji and oddities",
    "number of lines",
    "number of digits",
    "LaTeX",
    "code block",
    "programming syntax",
    "a question mark",
    "lettered options",
    "a long quotation or document",
    "tools offered",
    "a required output format",
    "images",
    "several turns",
    "approval of earlier work",
)
"""What each entry of the vector means, in words for `explain`."""

SIZE: Final = len(NAMES)
_BINS: Final = (24, 96, 384, 1536)  # characters


def counts_of(codes: Codes) -> list[int]:
    """How many characters of each class there are."""
    counts: list[int] = np.bincount(CLASS_OF.take(codes, mode="clip"), minlength=CLASSES).tolist()
    return counts


def circumstances_of(conversation: Conversation) -> int:
    """What is around the ask, as bits: tools, a required format, images, several turns, an approval."""
    return (
        (conversation.tools > 0)
        | (conversation.response_format not in ("", "text")) << 1
        | (conversation.images > 0) << 2
        | (conversation.turns > 1) << 3
        | (conversation.approved != "") << 4
    )


def shape_of(conversation: Conversation, text: str, counts: Sequence[int]) -> list[float]:
    """The `SIZE` numbers, each about 0 to 1.5, that describe `text` (lower case, as cut for judging) and what is around
    it. `_scan.c` says the same in C."""
    chars = sum(counts)
    share = 1.0 / (chars or 1)
    circumstances = circumstances_of(conversation)
    marks = counts[7]  # without a single one, none of their combinations need be looked for
    bins = [0.0, 0.0, 0.0, 0.0, 0.0]
    bins[sum(chars > edge for edge in _BINS)] = 1.0
    return [
        log1p(chars) / 8.0,
        *bins,
        sqrt(counts[2] * share),
        sqrt(counts[6] * share),
        sqrt(counts[7] * share),
        sqrt(counts[8] * share),
        sqrt(counts[5] * share),
        counts[3] * share,
        sqrt(counts[9] * share),
        log1p(counts[4]) / 4.0,
        log1p(counts[2]) / 4.0,
        1.0 if marks and "\\" in text and ("\\frac" in text or "$" in text or "\\(" in text) else 0.0,
        1.0 if marks and "```" in text else 0.0,
        1.0 if "def " in text or "();" in text or "return " in text or "public class" in text else 0.0,
        1.0 if "?" in text or "？" in text or "؟" in text else 0.0,
        1.0 if counts[4] and ("\nb. " in text or "\nb) " in text or "\n(b) " in text or "\nb: " in text) else 0.0,
        1.0 if chars > 1536 and counts[6] + counts[7] < 0.02 * chars else 0.0,
        *(float(circumstances >> bit & 1) for bit in range(5)),
    ]
