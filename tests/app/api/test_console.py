"""The console's files as the gateway serves them: no key, strict headers, exact paths."""

import re
from pathlib import Path

import pytest

from app.console import files
from tests.app.conftest import Start, both_ways

AUTH = {"keys": [{"key": "secret"}]}
KEY = {"authorization": "Bearer secret"}
SVG = "http://www.w3.org/2000/svg"
STATIC = Path(files.__file__).parent / "static"


@both_ways
async def test_the_page_needs_no_key_and_what_it_asks_for_does(start: Start) -> None:
    run = await start(auth=AUTH)
    page = await run.http.get("/console")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<script type="module" src="console/main.js">' in page.text
    for path in ("/v1/decisions", "/v1/models", "/version"):
        assert (await run.http.get(path)).status_code == 401


async def test_every_file_is_served_with_its_type_and_the_whole_policy(start: Start) -> None:
    run = await start(auth=AUTH)
    names = sorted(path.name for path in STATIC.iterdir())
    assert len(names) > 15
    for name in names:
        answer = await run.http.get("/console" if name == "index.html" else f"/console/{name}")
        assert answer.status_code == 200, name
        assert answer.content == (STATIC / name).read_bytes()
        assert answer.headers["content-type"] == files.TYPES[name.rpartition(".")[2]]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["img-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in answer.headers["content-security-policy"]


async def test_head_answers_as_get_without_a_body(start: Start) -> None:
    run = await start()
    for path in ("/console", "/console/main.js"):
        head, get = await run.http.head(path), await run.http.get(path)
        assert head.status_code == 200
        assert head.content == b""
        for name in ("content-length", "content-type", "etag", "content-security-policy"):
            assert head.headers[name] == get.headers[name]


async def test_what_has_not_changed_is_not_sent_again(start: Start) -> None:
    run = await start()
    tag = (await run.http.get("/console/main.js")).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = await run.http.get("/console/main.js", headers={"if-none-match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
    assert (await run.http.get("/console/main.js", headers={"if-none-match": '"other"'})).status_code == 200


async def test_a_slash_leads_to_the_page_even_below_another_path(start: Start) -> None:
    run = await start()
    answer = await run.http.get("/console/")
    assert answer.status_code == 308
    assert answer.headers["location"] == "../console"  # behind a proxy, /gate/console/ leads to /gate/console


@both_ways
@pytest.mark.parametrize(
    "path",
    [
        "/console/nothing.js",
        "/console/index.html",
        "/console/main.js/",
        "/console//main.js",
        "/console/../settings.py",
        "/console/..%2f..%2fsettings.py",
        "/console/%2e%2e/%2e%2e/settings.py",
        "/console/static/main.js",
        "/console/..%5csettings.py",
        "/console/main.js%00.css",
        "/console//etc/passwd",
        "/console/%2fetc%2fpasswd",
    ],
)
async def test_no_other_path_leads_to_a_file(start: Start, path: str) -> None:
    run = await start(auth=AUTH)
    client = await run.raw()
    await client.send(f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n".encode())
    status, headers, body = await client.answer()
    assert status == 404
    assert headers["content-type"].startswith("application/json")
    assert b'"error":{"message":"Unknown path: ' in body
    assert b'"code":"not_found"' in body
    await client.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert (await client.answer())[0] == 401  # only exact names are open
    await client.close()


async def test_another_spelling_of_the_page_is_the_page_and_no_way_past_the_key(start: Start) -> None:
    run = await start(auth=AUTH)
    assert (await run.http.get("/%63onsole")).status_code == 200
    assert (await run.http.get("/console/%2e%2e/v1/models")).status_code == 401
    assert (await run.http.get("/%76%31/models")).status_code == 401


async def test_other_methods_are_refused(start: Start) -> None:
    run = await start()
    for path in ("/console", "/console/main.js"):
        answer = await run.http.post(path, content=b"{}")
        assert answer.status_code == 405
        assert answer.json()["error"]["code"] == "method_not_allowed"
        assert "GET" in answer.headers["allow"]


async def test_it_can_be_turned_off(start: Start) -> None:
    run = await start(console={"enabled": False}, auth=AUTH)
    assert (await run.http.get("/console")).status_code == 401
    for path in ("/console", "/console/", "/console/main.js"):
        assert (await run.http.get(path, headers=KEY)).status_code == 404


# ---------------------------------------------------------------------- the files themselves


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    for path in STATIC.iterdir():
        text = path.read_text("utf-8")
        addresses = set(re.findall(r"(?:https?:|[\"'(=])//[\w.-]+\.\w+[^\s\"']*", text)) - {SVG}
        assert not addresses, f"{path.name}: {addresses}"
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )


def test_every_module_says_what_it_knows_and_is_short() -> None:
    for path in [*STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        lines = path.read_text("utf-8").splitlines()
        assert re.match(r"(//|/\*) .*\b[Kk]now", lines[0]), path.name
        assert len(lines) < 300, path.name


def test_both_languages_have_the_same_texts_and_every_text_asked_for() -> None:
    def texts(name: str) -> dict[str, str]:
        found = re.findall(r'^  "?([\w.]+)"?: "(.*)",$', (STATIC / name).read_text("utf-8"), re.MULTILINE)
        assert len(found) == len(dict(found)) > 100
        return dict(found)

    english, chinese = texts("en.js"), texts("zh.js")
    assert english.keys() == chinese.keys()
    for key, words in english.items():
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", chinese[key])), key
    sources = "".join(p.read_text("utf-8") for p in STATIC.iterdir() if p.name not in ("en.js", "zh.js"))
    asked = set(re.findall(r'(?:say|text)\("([\w.]+)"', sources))
    asked |= set(re.findall(r'\b"?t(?:-[\w-]+)?"?: "([\w.]+)"', sources)) | set(
        re.findall(r'data-t(?:-[\w-]+)?="([\w.]+)"', sources)
    )
    assert len(asked) > 40
    assert not asked - english.keys(), asked - english.keys()
