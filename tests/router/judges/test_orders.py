"""Where an order stands, and what it does with the rest."""

import numpy as np
import pytest

from router.judges.ngrams import grams_of
from router.judges.orders import BEYOND_A_MARK, ORDER_TOKENS, factor_of, nearness_of_each, slots_of, standing

SHIFT = np.uint64(48)
PROVE, TRANSLATE = (int(grams_of(word).hashes[0] >> SHIFT) for word in ("prove", "translate"))
MEANINGS = {PROVE: [(0, 1.0)], TRANSLATE: [(1, 1.0), (2, 0.5)]}


def stands(text: str) -> list[float]:
    return standing(grams_of(text), MEANINGS, SHIFT, 3).tolist()


def test_the_nearer_to_an_end_the_more_it_counts() -> None:
    assert stands("prove it")[0] == 1.0
    assert stands("now prove it")[0] == 1.0 - 1 / ORDER_TOKENS
    assert stands("it is this prove")[3] > stands("prove it")[3] > 0.0


def test_beyond_the_reach_of_an_order_nothing_counts() -> None:
    assert stands("word " * ORDER_TOKENS + "prove" + " word" * ORDER_TOKENS) == [0.0] * 6


def test_a_text_behind_a_colon_a_quotation_mark_or_a_new_line_counts_less() -> None:
    plain = stands("translate it prove")[0]
    for mark in (":", "：", "\n", '"', "「"):
        assert stands(f"translate it{mark} prove")[0] == pytest.approx((plain - 1 / ORDER_TOKENS) * BEYOND_A_MARK)


def test_an_order_on_the_last_line_counts_more_than_the_lines_before_it() -> None:
    found = stands("prove it\ntranslate it")
    assert found[3 + 1] > 0.9
    assert found[3 + 0] < BEYOND_A_MARK


def test_a_text_that_opens_with_a_mark_is_not_cut_by_it() -> None:
    start, _ = nearness_of_each(grams_of('"prove it'))
    assert start[1] == 1.0 - 1 / ORDER_TOKENS


def test_all_meanings_of_a_word_count_and_none_more_than_once() -> None:
    assert stands("translate")[1:3] == [1.0, 0.5]
    assert stands("translate translate translate")[1] == 1.0


def test_nothing_stands_in_an_empty_text() -> None:
    assert stands("") == [0.0] * 6


def test_the_factor_stays_between_nothing_and_twice() -> None:
    assert factor_of(0.0) == 1.0
    assert 0.0 <= factor_of(-1e9) < 1e-9
    assert 2.0 - 1e-9 < factor_of(1e9) <= 2.0


def test_the_hash_table_holds_every_meaning_and_has_room() -> None:
    slots = slots_of(MEANINGS)
    keys = np.frombuffer(slots.keys, np.uint32)
    assert len(keys) & (len(keys) - 1) == 0
    assert (keys == 0xFFFFFFFF).sum() > len(keys) / 2
    assert sorted(keys[keys != 0xFFFFFFFF].tolist()) == sorted([PROVE, TRANSLATE, TRANSLATE])


def test_a_table_of_no_meanings_has_an_empty_slot() -> None:
    assert np.frombuffer(slots_of({}).keys, np.uint32).tolist().count(0xFFFFFFFF) >= 1
