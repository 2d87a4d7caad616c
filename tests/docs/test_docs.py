"""The pages say what is so: links lead somewhere, names exist, examples parse, the generated page is fresh."""

import importlib.util
import json
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from app import errors
from app.cli import main
from app.config_file import parse_settings
from app.dataplane.any_request import PARSERS
from app.dataplane.chat_request import ChatRequest
from app.dataplane.passthrough.json_body import JsonBody
from app.errors import GatewayError
from app.gateway import create_app
from app.metadata import Routing
from app.metrics.totals import exposition
from app.server.census import Census
from app.settings import Settings
from router.decision import Decision
from router.judges import ConstantJudge
from router.mode import Mode, Reason
from router.switches import switch_in

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
ENVIRON = {"THINKGATE_KEY": "k", "ADMIN_KEY": "a"}
BASE = {
    "pools": {
        "fast": {"model": "i", "replicas": ["http://127.0.0.1:1"]},
        "deep": {"model": "t", "replicas": ["http://127.0.0.1:2"]},
    },
    "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in _FENCE.findall(page.read_text("utf-8")) if language in languages]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """GitHub's: lower case, punctuation gone, spaces to hyphens."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_configuration", DOCS / "generate_configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


def example_settings() -> Settings:
    return parse_settings(yaml.safe_load((DOCS / "example.yaml").read_text("utf-8")), ENVIRON)


# ---------------------------------------------------------------------- the generated page


def test_the_configuration_page_is_fresh() -> None:
    assert GENERATOR.page() == (DOCS / "configuration.md").read_text("utf-8"), (
        "stale: run `python docs/generate_configuration.py`"
    )


def test_check_mode_fails_on_a_stale_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "configuration.md"
    stale.write_text("old", "utf-8")
    monkeypatch.setattr(GENERATOR, "PAGE", stale)
    monkeypatch.setattr(sys, "argv", ["generate_configuration.py", "--check"])
    assert GENERATOR.main() == 1
    monkeypatch.setattr(sys, "argv", ["generate_configuration.py"])
    assert GENERATOR.main() == 0
    monkeypatch.setattr(sys, "argv", ["generate_configuration.py", "--check"])
    assert GENERATOR.main() == 0


def test_the_page_has_every_key_of_the_schema() -> None:
    text = GENERATOR.page()
    for key in set(GENERATOR.keys()):
        assert f"`{key.rsplit('.', 1)[-1]}`" in text or f"`{key}`" in text or f"`{key}.NAME`" in text


def test_the_contracts_example_works_as_it_stands() -> None:
    settings = example_settings()
    assert settings.routes["support"].profile == "fast-only"
    assert settings.profiles["fast-only"].mode is Mode.INSTRUCT
    assert create_app(settings, judge=ConstantJudge()).planner.model_names()[0] == "auto"


def test_keys_called_without_effect_are_used_nowhere() -> None:
    known = set(GENERATOR.keys())
    sources = {p: p.read_text("utf-8") for p in (ROOT / "app").rglob("*.py") if p.name != "settings.py"}
    for key in GENERATOR.WITHOUT_EFFECT:
        assert key in known
        section, name = key.split(".")
        used = re.compile(rf"\.{name}\b" if section != "decisions" else r"settings\.decisions\b|: Decisions\b")
        users = [str(p.relative_to(ROOT)) for p, text in sources.items() if used.search(text)]
        assert not users, f"{key} has an effect now ({users}): take it out of WITHOUT_EFFECT"


# ---------------------------------------------------------------------- links, files, names


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{target}: no such file"
        if anchor:
            assert anchor in anchors(file), f"{target}: no such heading; there are {sorted(anchors(file))}"


@every_page
def test_files_named_in_the_text_exist(page: Path) -> None:
    for word in _CODE.findall(prose(page)):
        if re.fullmatch(r"(app|router|tests|docs|deploy)/[\w./-]*", word):
            assert (ROOT / word).exists(), f"`{word}` does not exist"


def test_everything_in_the_readmes_tree_exists() -> None:
    tree = next(text for text in blocks(ROOT / "README.md", "") if text.startswith("app/"))
    stack: list[tuple[int, Path]] = [(-1, ROOT)]
    listed = 0
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        name = line.split()[0]
        while stack[-1][0] >= indent:
            stack.pop()
        path = stack[-1][1] / name
        assert path.exists(), f"{path.relative_to(ROOT)} does not exist"
        assert path.is_dir() == name.endswith("/")
        listed += 1
        stack.append((indent, path))
    assert listed > 15


def test_every_module_is_in_the_code_map_or_in_a_folder_that_is() -> None:
    named = set(_CODE.findall((DOCS / "architecture.md").read_text("utf-8")))
    for package in ("app", "router"):
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if path.name.startswith("__"):
                continue
            parents = {f"{parent.as_posix()}/" for parent in path.relative_to(ROOT).parents if len(parent.parts) > 1}
            assert name in named or parents & named, f"{name} is not in docs/architecture.md"


@every_page
def test_configuration_keys_named_in_the_text_exist(page: Path) -> None:
    known = set(GENERATOR.keys())
    generic = {re.sub(r"\.NAME\b", "", key) for key in known}
    sections = "|".join(Settings.model_fields)
    for word in _CODE.findall(prose(page)):
        if re.fullmatch(rf"({sections})(\[\])?(\.[A-Za-z_]+(\[\])?)+", word) and not word.endswith((".py", ".json")):
            assert word in known or word in generic, f"`{word}` is no configuration key"


@every_page
def test_headers_and_metrics_named_in_the_text_exist(page: Path) -> None:
    decision = Decision(Mode.THINKING, Reason.JUDGE, "because", "default", 0.5, 0.5, "judge@1", 100)
    routing = Routing("dec_1", decision, decision.mode, decision.reason, "deep", "t")
    sent = set(re.findall(r"^(x-[a-z-]+)", routing.lines().decode(), re.MULTILINE))
    text = page.read_text("utf-8")
    for header in set(re.findall(r"x-thinkgate-[a-z-]*[a-z]", text)):
        assert header in sent, f"{header} is not sent"
    exposed = _exposed()
    names = set(re.findall(r"^# HELP (\S+)", exposed, re.MULTILINE))
    for metric in set(re.findall(r"\bthinkgate_[a-z_]+[a-z]", text)):
        assert re.sub(r"_(bucket|sum|count)$", "", metric) in names, f"{metric} is no metric"


def _exposed() -> str:
    """What a gateway exposes, and what only several workers do."""
    one = create_app(parse_settings(BASE, {}), judge=ConstantJudge()).meters.exposition()
    return (one + exposition(Census(list).totals())).decode()


def test_every_metric_is_explained() -> None:
    exposed = _exposed()
    page = (DOCS / "operations.md").read_text("utf-8")
    for name in re.findall(r"^# HELP (\S+)", exposed, re.MULTILINE):
        assert f"`{name}`" in page, f"{name} is not in docs/operations.md"


def test_the_endpoints_are_those_that_exist() -> None:
    app = create_app(parse_settings(BASE, {}), judge=ConstantJudge())
    real = {f"{method.upper()} {path}" for path, item in app.api.openapi()["paths"].items() for method in item}
    table = (DOCS / "api.md").read_text("utf-8").split("## Keys")[0]
    assert {word for word in _CODE.findall(table) if re.match(r"(GET|POST) /", word)} == real


def test_the_errors_table_has_every_code() -> None:
    page = (DOCS / "api.md").read_text("utf-8").split("## Errors")[1]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)]
    assert len(kinds) > 8
    for kind in set(kinds) - {errors.UpstreamError}:  # which keeps the backend's own
        assert re.search(rf"^\| {kind.status} \| `{kind.code}` \|", page, re.MULTILINE), kind.__name__


def test_the_ladder_names_every_reason_that_the_code_gives() -> None:
    sources = "".join(p.read_text("utf-8") for d in ("app", "router") for p in (ROOT / d).rglob("*.py"))
    page = (DOCS / "routing.md").read_text("utf-8")
    given = [reason for reason in Reason if f"Reason.{reason.name}" in sources]
    assert len(given) > 8
    assert not [reason.value for reason in given if f"`{reason.value}`" not in page]


# ---------------------------------------------------------------------- examples


@every_page
def test_yaml_examples_are_configurations_that_load(page: Path) -> None:
    for text in blocks(page, "yaml"):
        data = yaml.safe_load(text)
        if set(data) <= set(Settings.model_fields):
            parse_settings(BASE | data, ENVIRON)
        else:
            assert "scrape_configs" in data or "services" in data, f"neither a configuration nor known: {list(data)}"


@every_page
def test_json_examples_are_json(page: Path) -> None:
    for text in blocks(page, "json"):
        json.loads(text)


@every_page
def test_python_examples_compile(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


def commands(page: Path) -> list[list[str]]:
    text = "\n".join(blocks(page, "bash", "sh")).replace("\\\n", " ")
    tokens = shlex.shlex(text, posix=True, punctuation_chars=";&|\n")
    tokens.whitespace = " \t"
    tokens.whitespace_split = True
    tokens.commenters = "#"
    found: list[list[str]] = [[]]
    for token in tokens:
        if set(token) <= set(";&|\n"):
            found.append([])
        else:
            found[-1].append(token)
    return [words for words in found if words]


def test_bodies_of_curl_examples_are_requests() -> None:
    bodies = 0
    for page in PAGES:
        for words in commands(page):
            if words[0] != "curl":
                continue
            for option, value in pairwise(words):
                if option in ("-d", "--data"):
                    api = next((w.rpartition("/v1/")[2] for w in words if "/v1/" in w), "tokenize")
                    if api == "tokenize":
                        assert JsonBody(value.encode()).model
                    else:
                        PARSERS.get(api, ChatRequest.parse)(value.encode())
                    bodies += 1
    assert bodies >= 6


def test_make_targets_in_examples_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        named = {words[1] for words in commands(page) if words[0] == "make" and len(words) > 1}
        named |= {word.split()[1] for word in _CODE.findall(prose(page)) if re.fullmatch(r"make [a-z-]+", word)}
        assert named <= targets, f"{page.name}: {named - targets}"


def test_options_of_thinkgate_in_examples_exist(capsys: pytest.CaptureFixture[str]) -> None:
    used: dict[tuple[str, ...], set[str]] = {}
    for page in PAGES:
        lines = commands(page) + [word.split() for word in _CODE.findall(prose(page)) if word.startswith("thinkgate ")]
        for words in lines:
            if words[0].removeprefix(".venv/bin/") == "thinkgate" and len(words) > 1:
                command = tuple(words[1:3] if words[1] in ("judge", "keys") else words[1:2])
                options = {w.split("=")[0] for w in words[2:] if w.startswith("--")}
                used.setdefault(command, set()).update(options)
    assert {("serve",), ("route",), ("up",), ("judge", "calibrate")} <= set(used)
    for command, options in used.items():
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0, f"thinkgate {' '.join(command)} is no command"
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert options <= known | {"--help"}, f"thinkgate {' '.join(command)}: {options - known}"


# ---------------------------------------------------------------------- what routing.md states


def rows(page: Path, head: str) -> list[list[str]]:
    lines: list[str] = page.read_text("utf-8").split(head)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("text", "read_as"), rows(DOCS / "routing.md", "| text | read as |"))
def test_soft_switches_are_read_as_the_page_says(text: str, read_as: str) -> None:
    text = text[2:-2] if text.startswith("``") else text[1:-1]
    assert switch_in(text) == (None if read_as == "none" else Mode(read_as))


def test_sampling_defaults_are_those_of_the_families() -> None:
    families: dict[str, Any] = yaml.safe_load((ROOT / "router/families.yaml").read_text("utf-8"))
    for name in ("qwen3-2507", "qwen3-hybrid"):
        sampling = families[name]["sampling"]
        assert sampling["instruct"] == {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0}
        assert sampling["thinking"] == {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0}


def test_every_family_is_explained_and_every_key_of_one() -> None:
    page = (DOCS / "routing.md").read_text("utf-8").split("## Families")[1].split("\n## ")[0]
    shipped: dict[str, Any] = yaml.safe_load((ROOT / "router/families.yaml").read_text("utf-8"))
    assert not [name for name in shipped if f"`{name}`" not in page]
    keys = {key for family in shipped.values() for key in family}
    assert len(keys) > 8
    assert not [key for key in keys if not re.search(rf"^\| `{key}` \|", page, re.MULTILINE)]
