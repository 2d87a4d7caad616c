"""Rows, labels, caps, and the prompts that are made rather than read."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from router.training.compose import ORDERS, disguised, long_easy, ordered
from router.training.corpus import is_generated
from router.training.dataset import balanced, capped, data_files, read_examples, read_rows
from router.training.examples import Example, read_example
from router.training.holdout import fold_of
from router.training.lexicon import concept_matrix, concepts
from router.training.templates.generate import filled, orders, paragraph_examples, template_examples, templates
from router.training.templates.puzzles import puzzles
from router.training.traffic import _UNSEEN_INSTRUCTIONS, easy_or_hard, shortcut_free, traffic


def example(**fields: object) -> Example:
    read = read_example({"id": "1", "source": "s", "lang": "en", "domain": "chat", "prompt": "Hello there", **fields})
    assert read is not None
    return read


def test_weak_labels_and_outcomes_pull_the_target_together() -> None:
    assert example(weak_label="think").target > 0.9
    assert example(weak_label="no_think").target < 0.1
    both = example(weak_label="think", p_instruct=1.0, p_thinking=1.0, outcome_label="no_think")
    assert 0.2 < both.target < 0.8


def test_a_gain_raises_the_target() -> None:
    low = example(p_instruct=0.9, p_thinking=0.9, outcome_label="no_think").target
    high = example(p_instruct=0.1, p_thinking=0.9, outcome_label="think").target
    assert low < 0.2 < 0.8 < high


def test_a_row_without_labels_counts_little() -> None:
    assert example().weight < 0.5
    assert example().label is None


def test_a_row_without_text_is_no_example() -> None:
    assert read_example({"source": "s", "prompt": ""}) is None
    assert read_example({"source": "s"}) is None


def test_puzzle_tasks_stay_together_when_left_out() -> None:
    rows = [example(source="gym", domain="puzzle/logic", dataset="logic/x", prompt=str(n)) for n in range(5)]
    assert len({fold_of(row) for row in rows}) == 1
    assert fold_of(rows[0]).startswith("gym/")


def test_plain_and_compressed_files_read_alike(tmp_path: Path) -> None:
    import zstandard

    text = "".join(json.dumps({"source": "s", "prompt": f"question {n}"}) + "\n" for n in range(3))
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.compress(text.encode()))
    (tmp_path / "notes.md").write_text("no data")
    first, second = data_files(tmp_path)
    assert list(read_rows(first)) == list(read_rows(second))
    assert len(read_examples([first, second])) == 3  # the second file's texts are duplicates


def test_a_broken_line_is_named_by_file_and_number(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "x"}\n{broken\n')
    with pytest.raises(ValueError, match=r"a\.jsonl:2"):
        read_examples(data_files(tmp_path))


def test_a_directory_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        data_files(tmp_path)


def test_caps_hold_for_each_source_language_and_label_and_repeat() -> None:
    rows = [example(source=source, prompt=f"{source} {n}", weak_label="think") for source in "ab" for n in range(50)]
    kept = capped(rows, 20)
    assert Counter(row.source for row in kept) == {"a": 20, "b": 20}
    assert kept == capped(rows, 20)


def test_large_sources_weigh_more_but_less_than_in_proportion() -> None:
    rows = [example(source="big", prompt=f"b{n}", weak_label="think") for n in range(1600)]
    rows += [example(source="small", prompt=f"s{n}", weak_label="think") for n in range(100)]
    totals: Counter[str] = Counter()
    for row in balanced(rows):
        totals[row.source] += row.weight
    assert totals["big"] == pytest.approx(4 * totals["small"])


def test_every_template_fills_its_slots_and_both_classes_exist_in_thirty_languages() -> None:
    both: dict[str, set[bool]] = {}
    for lang, _, prompt, hard in templates():
        text = filled(prompt, random.Random(0))
        assert not any(slot in text for slot in ("{n}", "{N}", "{p}"))
        both.setdefault(lang, set()).add(hard)
    assert len(both) >= 30
    assert all(kinds == {True, False} for kinds in both.values())


def test_templates_and_puzzles_are_the_same_every_time() -> None:
    assert template_examples(1) == template_examples(1)
    assert paragraph_examples(2) == paragraph_examples(2)
    assert list(puzzles(40)) == list(puzzles(40))
    assert sum(hard for _, hard in puzzles(40)) == 20


def test_an_easy_instruction_about_a_hard_text_is_easy_and_leaves_with_the_text() -> None:
    hard = [example(source="olympiad", prompt=f"Prove the theorem number {n}.", weak_label="think") for n in range(5)]
    made = long_easy(hard, 20)
    assert all(row.target < 0.1 for row in made)
    assert {fold_of(row) for row in made} == {"olympiad"}
    assert all("Prove the theorem" in row.conversation.ask for row in made)


def test_easy_instructions_about_a_puzzle_are_taught_as_easy() -> None:
    """`goal` raises what puzzles are fitted to; what is only made of a puzzle's text must not be raised."""
    puzzle = example(domain="puzzle/grid", dataset="grid", prompt="Which cell is red?", p_instruct=0.1, p_thinking=0.9)
    assert puzzle.goal > 0.5
    assert all(row.goal < 0.1 for row in long_easy([puzzle], 20))
    assert {row.goal < 0.1 for row in ordered([puzzle], 60)} == {True, False}


def test_an_order_makes_a_text_easy_or_leaves_it_what_it_was() -> None:
    hard = [example(source="olympiad", prompt="Prove the theorem of Zorn.", weak_label="think")]
    made = ordered(hard, 80)
    assert {row.target for row in made} == {0.05, hard[0].goal}
    assert all("Prove the theorem" in row.conversation.ask for row in made)
    assert all(is_generated(row) and row.source == ORDERS and fold_of(row) == "olympiad" for row in made)


def test_orders_of_both_kinds_exist_in_twenty_languages_and_never_those_of_the_evaluation() -> None:
    found = list(orders())
    kinds = {kind: {lang for lang, own, _ in found if own == kind} for kind in "eh"}
    assert len(kinds["e"] & kinds["h"]) >= 20
    texts = {order.strip(" :：.。").lower() for _, _, order in found} | {
        prompt.lower() for _, _, prompt, _ in templates()
    }
    assert not texts & {instruction.strip(" :：.。").lower() for instruction in _UNSEEN_INSTRUCTIONS}


def test_a_disguise_keeps_the_target_and_may_drop_the_options() -> None:
    text = "Which is prime? Think step by step.\nA. 4\nB. 5\nC. 6"
    made = disguised([example(prompt=text, weak_label="think")], 30)
    assert {row.target for row in made} == {example(weak_label="think").target}
    assert any("B. 5" not in row.conversation.ask for row in made)


def test_every_concept_has_words_in_the_matrix() -> None:
    matrix = concept_matrix(18)
    assert matrix.shape == (1 << 18, len(concepts()))
    assert (matrix.sum(axis=0) > 5).all()


def labelled() -> list[Example]:
    outcome = {"p_instruct": 0.2, "p_thinking": 0.9, "outcome_label": "think", "weak_label": "think"}
    text = "Find all integers n with n^2 = {} mod 7 " + "and more " * 12
    rows = [example(source="maths", domain="math/competition", prompt=text.format(n), **outcome) for n in range(30)]
    return rows + [example(source="chat", prompt=f"hello {n}", weak_label="no_think") for n in range(100)]


def test_traffic_has_three_hard_prompts_in_ten() -> None:
    rows = labelled()
    chosen = traffic(rows)
    assert sum(easy_or_hard(rows[index]) == 1 for index in chosen) / len(chosen) == pytest.approx(0.3)


def test_on_the_shortcut_free_mix_the_easy_prompts_are_the_long_ones() -> None:
    mixed = shortcut_free(labelled())
    hard = [len(row.conversation.ask) for row in mixed if row.label == 1]
    easy = [len(row.conversation.ask) for row in mixed if row.label == 0]
    assert max(hard) < min(easy)
    assert len(hard) == len(easy)
