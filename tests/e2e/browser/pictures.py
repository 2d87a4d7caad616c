"""Take the console's pictures for the docs: real Chromium, the real gateway, the real miniature pair.

    python -m tests.e2e.browser.pictures docs/images

Some two hundred short questions are asked first, so that there is something to see.
"""

import asyncio
import importlib.util
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.e2e.browser.conftest import CHROMIUM, FLAGS
from tests.e2e.conftest import ENGINE, KEY, START_LIMIT_S, Server, config_for, start_engine, start_gateway

QUESTIONS = 220
HARD = "Work from left to right and keep only the last digit: 7+5*3-4*7+8*3"
HARD_ZH = "从左到右计算，每步只保留末位数字：7+5*3-4*7+8*3"


def questions(seed: int) -> list[str]:
    """Easy and hard ones in a random order."""
    spec = importlib.util.spec_from_file_location("miniature_tasks", ENGINE / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    tasks = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tasks
    spec.loader.exec_module(tasks)
    easy = tasks.generate("eval", "easy", QUESTIONS * 6 // 10, seed=seed)
    hard = tasks.generate("eval", "hard", QUESTIONS - len(easy), seed=seed)
    all_of_them = [question.prompt for question in (*easy, *hard)]
    random.Random(seed).shuffle(all_of_them)
    return all_of_them


async def traffic(gateway: Server) -> None:
    """Ask everything, four at a time, over some minutes' worth of columns."""
    rng = random.Random(7)
    headers = {"authorization": f"Bearer {KEY}"}
    places = asyncio.Semaphore(4)
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=120, trust_env=False) as client:

        async def ask(prompt: str) -> None:
            async with places:
                model = rng.choices(["auto", "support", "auto-thinking", "auto-instruct"], [16, 2, 1, 1])[0]
                body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
                (await client.post("/v1/chat/completions", json=body)).raise_for_status()
                await asyncio.sleep(rng.random() * 2.5)

        await asyncio.gather(*map(ask, questions(5)))


@contextmanager
def gateway() -> Iterator[Server]:
    """Gateway and pair, with a decision log that keeps prompts."""
    with tempfile.TemporaryDirectory() as directory:
        logs = Path(directory)
        servers = {role: start_engine(role, logs) for role in ("instruct", "thinking")}
        try:
            for server in servers.values():
                server.wait_ready("/health", START_LIMIT_S)
            log = {"url": f"sqlite:///{logs / 'decisions.db'}", "store_prompts": True}
            servers["gateway"] = start_gateway(config_for(servers, decisions=log), logs)
            yield servers["gateway"]
        finally:
            for server in servers.values():
                server.stop()


def ask(page: Page, prompt: str) -> None:
    """Ask all three in the playground, and wait for their ends."""
    page.locator("[data-view=playground]").click()
    page.locator("#prompt").fill(prompt)
    page.locator(".ask button.primary").click()
    page.wait_for_function("() => document.querySelectorAll('.column .state.done').length === 3")
    page.locator(".column.auto .pushes li").first.wait_for()


def main() -> None:
    """Take them all."""
    out = Path(sys.argv[1])
    with gateway() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def opened(**options: object) -> Page:
            page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
            page.goto(f"{server.url}/console")
            page.locator("#key-input").fill(KEY)
            page.locator("#key-form button").click()
            page.locator(".backend").first.wait_for()
            return page

        laptop = {"viewport": {"width": 1366, "height": 860}}
        watching = opened(**laptop, locale="en-GB", color_scheme="light")
        # Playwright's own loop runs in this thread: the questions are asked from a process of their own.
        ask_everything(server)
        watching.wait_for_timeout(3000)
        watching.screenshot(path=out / "console-overview.png")
        watching.emulate_media(color_scheme="dark")
        watching.screenshot(path=out / "console-dark.png")
        watching.emulate_media(color_scheme="light")
        ask(watching, HARD)
        watching.screenshot(path=out / "console-playground.png", full_page=True)
        watching.locator("[data-view=decisions]").click()
        watching.locator(".decision summary").nth(1).click()
        watching.locator(".decision .pushes li").first.wait_for(timeout=10_000)
        watching.screenshot(path=out / "console-decisions.png")
        chinese = opened(**laptop, locale="zh-CN", color_scheme="dark")
        ask(chinese, HARD_ZH)
        chinese.screenshot(path=out / "console-dark-chinese.png", full_page=True)
        phone = opened(
            viewport={"width": 390, "height": 844},
            device_scale_factor=2,
            is_mobile=True,
            has_touch=True,
            locale="en-GB",
        )
        phone.wait_for_timeout(2500)
        phone.screenshot(path=out / "console-phone.png")
        browser.close()
    for path in out.glob("console-*.png"):
        with Image.open(path) as picture:  # a page has few colours: a third of the bytes
            picture.convert("RGB").quantize(255, dither=Image.Dither.NONE).save(path, optimize=True)


def ask_everything(server: Server) -> None:
    """Run the traffic to its end."""
    thread = Thread(target=lambda: asyncio.run(traffic(server)))
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
