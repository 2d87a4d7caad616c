"""Real Chromium in front of the real gateway and the real miniature pair.

Nothing is skipped: without a browser the tests fail, and say how to get one.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.e2e.conftest import KEY, Server, config_for, start_gateway

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE_MS = 60_000  # the machine may be busy
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: while it lives no other event loop can run in this thread. Its profile is new and empty."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is not there: run tests/e2e/browser/tools.sh, which installs it (`make test` does)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def logging_gateway(engines: dict[str, Server], log_dir: Path) -> Iterator[Server]:
    """The gateway with a decision log that keeps prompts."""
    log = {"url": f"sqlite:///{log_dir / 'console.db'}", "store_prompts": True}
    server = start_gateway(config_for(engines, decisions=log), log_dir, "gateway-console")
    try:
        yield server
    finally:
        assert server.stop() == 0


@pytest.fixture(scope="session")
def open_gateway(engines: dict[str, Server], log_dir: Path) -> Iterator[Server]:
    """The gateway without keys and without a decision log."""
    config = config_for(engines)
    del config["auth"]
    server = start_gateway(config, log_dir, "gateway-open")
    try:
        yield server
    finally:
        assert server.stop() == 0


@pytest.fixture
def open_console(browser: Browser) -> Iterator[Open]:
    """Opens a gateway's console in a context of its own, with the key given if one is wanted. Fails the test where the
    page has run into an error, or has tried what its policy forbids."""
    contexts = []
    troubles: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            troubles.append(message.text)

    def open_console(server: Server, view: str = "overview", key: str | None = KEY, **options: object) -> Page:
        context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1366, "height": 860}, **options})  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", said)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(f"{server.url}/console#{view}")
        if key is not None:
            page.locator("#key-input").fill(key)
            page.locator("#key-form button").click()
            page.locator("#key-dialog").wait_for(state="hidden")
        return page

    yield open_console
    for context in contexts:
        context.close()
    assert not troubles
