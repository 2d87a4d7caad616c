"""Classes of characters, as arrays. Knows Unicode ranges; knows nothing about words or weights.

A text becomes one `uint32` code point per character, and one small class number per code point, by table look-up: no
Python loop ever runs over the characters of a request.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]
Classes = NDArray[np.uint8]

SPACE: Final = 0
LETTER: Final = 1  # scripts that put spaces between words
DIGIT: Final = 2
IDEOGRAPH: Final = 3  # scripts that do not: Han, Kana, Thai, Lao, Khmer, Burmese
NEWLINE: Final = 4
PUNCTUATION: Final = 5
MATHS: Final = 6  # operators, relations, Greek letters used as symbols
MARKUP: Final = 7  # LaTeX and programming marks: \ $ _ ^ { } ` #
BRACKET: Final = 8
OTHER: Final = 9  # emoji, dingbats, unassigned, lone surrogates
CLASSES: Final = 10

_PLANE: Final = 0x10000

_RANGES: Final[tuple[tuple[int, int, int], ...]] = (
    (0x0000, 0xFFFF, LETTER),
    (0x0000, 0x0020, SPACE),
    (0x007F, 0x00A0, SPACE),
    (0x0021, 0x002F, PUNCTUATION),
    (0x003A, 0x0040, PUNCTUATION),
    (0x005B, 0x0060, PUNCTUATION),
    (0x007B, 0x007E, PUNCTUATION),
    (0x00A1, 0x00BF, PUNCTUATION),
    (0x2010, 0x2027, PUNCTUATION),
    (0x2030, 0x205E, PUNCTUATION),
    (0x3001, 0x3003, PUNCTUATION),
    (0x3008, 0x3020, BRACKET),
    (0x30FB, 0x30FB, PUNCTUATION),
    (0xFF01, 0xFF0F, PUNCTUATION),
    (0xFF1A, 0xFF20, PUNCTUATION),
    (0xFF3B, 0xFF40, PUNCTUATION),
    (0xFF5B, 0xFF65, PUNCTUATION),
    (0x0964, 0x0965, PUNCTUATION),
    (0x060C, 0x060C, PUNCTUATION),
    (0x061B, 0x061F, PUNCTUATION),
    (0x06D4, 0x06D4, PUNCTUATION),
    (0x0E00, 0x0EFF, IDEOGRAPH),
    (0x1000, 0x109F, IDEOGRAPH),
    (0x1780, 0x17FF, IDEOGRAPH),
    (0x2E80, 0x2FFF, IDEOGRAPH),
    (0x3005, 0x3007, IDEOGRAPH),
    (0x3021, 0x30FA, IDEOGRAPH),
    (0x30FC, 0x312F, IDEOGRAPH),
    (0x31A0, 0x31FF, IDEOGRAPH),
    (0x3400, 0x9FFF, IDEOGRAPH),
    (0xF900, 0xFAFF, IDEOGRAPH),
    (0xFF66, 0xFF9D, IDEOGRAPH),
    (0x2190, 0x22FF, MATHS),
    (0x2A00, 0x2AFF, MATHS),
    (0x2070, 0x209F, MATHS),
    (0x03B1, 0x03C9, MATHS),
    (0x2000, 0x200A, SPACE),
    (0x200B, 0x200F, SPACE),
    (0x2028, 0x202F, SPACE),
    (0x205F, 0x206F, SPACE),
    (0x3000, 0x3000, SPACE),
    (0xFE00, 0xFE0F, SPACE),
    (0xFEFF, 0xFEFF, SPACE),
    (0x2300, 0x2BFF, OTHER),
    (0xD800, 0xF8FF, OTHER),
    (0xFFF0, 0xFFFF, OTHER),
    (0x0030, 0x0039, DIGIT),
    (0x0660, 0x0669, DIGIT),
    (0x06F0, 0x06F9, DIGIT),
    (0x0966, 0x096F, DIGIT),
    (0x09E6, 0x09EF, DIGIT),
    (0xFF10, 0xFF19, DIGIT),
    (0x0E50, 0x0E59, DIGIT),
)
_SINGLES: Final = ((NEWLINE, "\n"), (MATHS, "+=<>*/|~×÷±−¬∂"), (MARKUP, "\\$_^{}`#"), (BRACKET, "()[]"))


def _table() -> Classes:
    table = np.empty(_PLANE, np.uint8)
    for first, last, kind in _RANGES:
        table[first : last + 1] = kind
    for kind, characters in _SINGLES:
        for character in characters:
            table[ord(character)] = kind
    return table


CLASS_OF: Final = _table()
"""`uint8[65536]`: the class of each code point of the basic plane."""


def codes_of(text: str) -> Codes:
    """Code points of `text`, `uint32[n]`; lone surrogates are kept. Tables are read with `mode="clip"`, so that all
    characters beyond the basic plane share its last slot."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
