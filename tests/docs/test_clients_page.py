"""docs/clients.md against what is installed for its test: the versions are those, and no lock names a host."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests" / "e2e" / "clients"
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")
LOCK = (CLIENTS / "node" / "package-lock.json").read_text("utf-8")


def installed() -> dict[str, set[str]]:
    """Versions by package, of both languages."""
    found: dict[str, set[str]] = {}
    for line in (CLIENTS / "requirements.txt").read_text("utf-8").splitlines():
        name, _, version = line.split(";")[0].strip().partition("==")
        found.setdefault(name, set()).add(version)
    for path, package in json.loads(LOCK)["packages"].items():
        if path.startswith("node_modules/"):
            found.setdefault(path.rpartition("node_modules/")[2], set()).add(package["version"])
    return found


def test_the_table_names_the_versions_that_are_tried() -> None:
    versions = installed()
    wanted = {
        **{name: versions[name] for name in ("ai", "@ai-sdk/openai-compatible", "@anthropic-ai/sdk", "anthropic",
                                             "langchain-openai", "litellm", "openai")},
        "pydantic-ai": versions["pydantic-ai-slim"],
    }  # fmt: skip
    table = PAGE.split("## ")[0]
    assert set(re.findall(r"\d+\.\d+\.\d+", table)) == set().union(*wanted.values())
    assert all(name in table for name in wanted)


def test_the_locks_name_no_host() -> None:
    for text in (LOCK, (CLIENTS / "requirements.txt").read_text("utf-8")):
        assert "://" not in text
    packages = json.loads(LOCK)["packages"]
    assert all("integrity" in package for path, package in packages.items() if path)
