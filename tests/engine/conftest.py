"""The miniatures' modules, which live outside the packages: they import each other by name, as scripts do."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ENGINE = Path(__file__).parents[2] / "deploy" / "engine"
NAMES = ("tasks", "dialogues", "evaluate")


@pytest.fixture(scope="session")
def modules() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ENGINE))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(ENGINE))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture
def tasks(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["tasks"]


@pytest.fixture
def dialogues(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["dialogues"]


@pytest.fixture
def evaluate(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["evaluate"]
