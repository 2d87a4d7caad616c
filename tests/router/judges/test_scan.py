"""The judge's inner loop in C says exactly what the numpy definition says."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.conversation import Conversation
from router.judges import LinearJudge
from router.judges.characters import CLASS_OF
from router.judges.linear import scan, text_of
from router.judges.orders import slots_of

JUDGE = LinearJudge.load()
PIECES = [
    "hello",
    "prove",
    "12",
    "3",
    "integer",
    "的",
    "证明",
    "def f",
    "return x",
    "public class",
    "();",
    "\nb. x",
    "\n(b) ",
]
PIECES += [
    "```",
    "\\frac",
    "\\(",
    "$x$",
    "？",
    "?",
    "؟",
    "😀",
    "\ud800",
    "é",
    "한국어",
    "\t",
    "  ",
    "+",
    "^{2}",
    "a" * 40,
]


def both(conversation: Conversation) -> tuple[float, float]:
    return JUDGE.logit(conversation), JUDGE.logit_by_numpy(conversation, text_of(conversation))


def test_the_compiled_loop_is_there() -> None:
    assert scan is not None, "the C extension was not built; serving would be ten times slower"


@given(st.text(max_size=400), st.integers(0, 3), st.sampled_from(["", "text", "json_object"]), st.integers(0, 2))
@settings(max_examples=300, deadline=None)
def test_c_and_numpy_agree_on_any_text(text: str, tools: int, response_format: str, images: int) -> None:
    compiled, defined = both(Conversation(text, "", "", tools, response_format, images))
    assert compiled == pytest.approx(defined, abs=1e-4)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 95, 96, 97, 287, 288, 289, 600, 5000])
def test_c_and_numpy_agree_where_the_middle_is_damped(length: int) -> None:
    rng = random.Random(length)
    text = " ".join(rng.choices(PIECES, k=length))
    compiled, defined = both(Conversation(text, "earlier work" if length % 2 else "", turns=1 + length % 3))
    assert compiled == pytest.approx(defined, abs=1e-4)


def test_wrong_buffers_are_refused() -> None:
    assert scan is not None
    with pytest.raises(ValueError, match="wrong size"):
        scan("text", b"", b"", 46, b"", 0, b"", b"", b"", b"")


def arguments(**changed: bytes) -> list[object]:
    """What the judge hands to `scan`, with some of it changed."""
    slots, weights = slots_of(JUDGE.weights.meanings), JUDGE.weights
    values: dict[str, object] = {
        "text": "translate: prove it",
        "classes": CLASS_OF.tobytes(),
        "table": weights.table.astype(np.float16),
        "shift": 64 - weights.bits,
        "shape": weights.shape.astype(np.float64).tobytes(),
        "circumstances": 0,
        "keys": slots.keys,
        "concepts": slots.concepts,
        "shares": slots.shares,
        "orders": weights.orders.packed(),
    }
    return list((values | changed).values())


def test_a_hash_table_without_an_empty_slot_is_refused_rather_than_searched_for_ever() -> None:
    assert scan is not None
    scan(*arguments())
    full = {"keys": b"\0" * 16, "concepts": b"\0" * 4, "shares": b"\0" * 16}
    with pytest.raises(ValueError, match="wrong size"):
        scan(*arguments(**full))
    with pytest.raises(ValueError, match="wrong size"):
        scan(*arguments(shares=b""))
    with pytest.raises(ValueError, match="wrong size"):
        scan(*arguments(orders=b"\0" * 32))


ORDERS = [
    "Translate into French:",
    "翻译成英文：",
    "Solve this:",
    "Summarise the text below.",
    "証明せよ。",
    "แปลเป็นภาษาอังกฤษ:",
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("tokens", [0, 1, 8, 15, 16, 17, 31, 32, 33, 200])
def test_c_and_numpy_agree_on_orders_at_either_end(order: str, tokens: int) -> None:
    rest = "Prove that the sum of n integers is even and so on. " * (tokens // 8) + "very " * (tokens % 8)
    for text in (f"{order} {rest}", f"{rest}\n{order}", f"{rest} {order} {rest}"):
        compiled, defined = both(Conversation(text))
        assert compiled == pytest.approx(defined, abs=1e-4)
