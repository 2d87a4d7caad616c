"""The learning demo's questions: what is measured was in no label, by family and length."""

import importlib
from types import ModuleType

import pytest


@pytest.fixture
def demo(modules: dict[str, ModuleType]) -> ModuleType:
    return importlib.import_module("learn_demo")


def test_what_is_measured_was_not_learned_from(demo: ModuleType) -> None:
    assert not set(demo.LEARNED) & set(demo.MEASURED)
    learned = demo.items(demo.LEARNED, 200, 0, "train")
    measured = demo.items(demo.MEASURED, 60, 1000, "eval")
    assert len({one.prompt for one in learned}) == 200
    assert len(measured) == 60
    assert not {(one.kind, one.steps) for one in learned} & {(one.kind, one.steps) for one in measured}
    assert not {one.prompt for one in learned} & {one.prompt for one in measured}


def test_both_sets_hold_what_thinking_helps_and_what_it_does_not(demo: ModuleType) -> None:
    for which, split in ((demo.LEARNED, "train"), (demo.MEASURED, "eval")):
        assert {one.hard for one in demo.items(which, 60, 0, split)} == {True, False}


def test_the_same_seed_gives_the_same_questions(demo: ModuleType) -> None:
    first, second = (demo.items(demo.MEASURED, 30, 5, "eval") for _ in range(2))
    assert first == second
